# routewright as a container: one process, no root, nothing to write but /var/lib/routewright.
#
#   docker build -t routewright .
#   docker run --read-only -p 127.0.0.1:8484:8484 -v routewright:/var/lib/routewright \
#     -e ROUTEWRIGHT_SERVER__API_KEY=env:ROUTEWRIGHT_KEY -e ROUTEWRIGHT_KEY -e OPENAI_API_KEY routewright
#
# docs/operations.md says more. PYTHON is the tag of the official image; pin it by digest where you build.
ARG PYTHON=3.13-slim-trixie
# The same Python, with a C compiler.
ARG PYTHON_TO_BUILD=3.13-trixie

FROM python:${PYTHON_TO_BUILD} AS build
WORKDIR /build
COPY pyproject.toml hatch_build.py README.md LICENSE requirements.txt requirements-dev.txt ./
COPY src ./src
# The exact versions of both files, and nothing installed for standing there: what a constraints file names by -r is.
ENV ROUTEWRIGHT_COMPILE=always
RUN grep -hv '^-r ' requirements.txt requirements-dev.txt > constraints.txt \
    && python -m venv --without-pip /opt/routewright \
    && pip --python /opt/routewright/bin/python install --no-cache-dir --only-binary :all: --no-binary routewright \
        -c constraints.txt ".[evidence,postgres,proxy,redis,schemas]" \
    && find /opt/routewright -type d -name tests -prune -exec rm -r {} +

FROM python:${PYTHON}
COPY --from=build /opt/routewright /opt/routewright
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /var/lib/routewright routewright \
    && install -d -o routewright -g routewright -m 0700 /var/lib/routewright
USER 10001:10001
WORKDIR /var/lib/routewright
ENV PATH=/opt/routewright/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    ROUTEWRIGHT_LEDGER__PATH=/var/lib/routewright \
    ROUTEWRIGHT_SERVER__HOST=0.0.0.0 \
    ROUTEWRIGHT_SERVER__LINGER_SECONDS=5
VOLUME /var/lib/routewright
EXPOSE 8484
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8484/healthz', timeout=2)"]
ENTRYPOINT ["routewright"]
CMD ["serve"]
