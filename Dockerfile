# A server of a checkpoint that is mounted at /models:  docs/serving.md
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/emotion \
 && /opt/emotion/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu ".[serve,onnx]"

FROM python:3.12-slim
COPY --from=build /opt/emotion /opt/emotion
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin emotion
USER 10001
WORKDIR /tmp
ENV PATH=/opt/emotion/bin:$PATH HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
# For port=8000; a proxy of the environment would not reach this machine.
HEALTHCHECK --start-period=60s CMD ["env", "-u", "http_proxy", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["emotion-serve", "host=0.0.0.0"]
