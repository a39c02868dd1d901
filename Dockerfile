# Tropho in a container, with PyTorch for CPUs: `docker build -t tropho .`, then `docker run --rm -it tropho`.
# tests/tools/test_container.py runs the lines; Chromium prints reports to PDF.
FROM python:3.11-slim AS system
RUN apt-get update && apt-get install -y --no-install-recommends git make chromium fonts-dejavu-core && rm -rf /var/lib/apt/lists/*

FROM system
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PIP_NO_CACHE_DIR=1
WORKDIR /tropho
COPY . .
RUN make setup
ENV PATH=/tropho/.venv/bin:$PATH
CMD ["make", "demo"]
