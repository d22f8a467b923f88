# The operator. BASE may be python:3.11-slim; BUILD_BASE is the same with pip.
ARG BASE=python:3.11-slim
ARG BUILD_BASE=${BASE}

FROM ${BUILD_BASE} AS build
# How pip reaches its packages on the machine that builds; none of it stays in the image.
ARG PIP_CERT PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT
COPY requirements/operator.txt /src/
RUN python3 -m pip install --quiet --no-cache-dir --require-hashes --target /app -r /src/operator.txt
COPY operator/spot_operator /app/spot_operator
# Of `kubernetes` the operator uses configuration and authentication, not the generated models and
# calls: they are 124 MB with their bytecode, and are looked up only when somebody names one.
RUN cd /app/kubernetes && find client aio/client \( -path '*/models/*' -o -path '*/api/*' \) -type f ! -name __init__.py -delete
# Bytecode is part of the image: the root file system is read-only.
RUN find /app -name tests -type d -prune -exec rm -rf {} + \
 && rm -rf /app/bin \
 && python3 -m compileall -q /app

FROM ${BASE}
COPY --from=build /app /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "spot_operator"]
