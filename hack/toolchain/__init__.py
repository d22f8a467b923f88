"""The programs that the local cluster and the image builds need, made from pinned sources.

Everything lands in one cache outside the repository (`layout.py`), and nothing that is there is
made twice. Only the standard library is used: this runs before any virtual environment exists.

Read `binaries.py` for what is built, `cli.py` for the commands, `README.md` for the manual.
"""
