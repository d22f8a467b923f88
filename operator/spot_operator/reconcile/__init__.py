"""The loop around `domain.plan`: observe, plan, act or persist, one job at a time.

Read in this order: `caches` (what is watched), `views` (objects as decisions see them), `observe`
(a snapshot of one job), `act` and `persist` (the two ways a pass may end), `loop`.
"""
