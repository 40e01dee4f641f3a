# Two images from one file, `cpu` and `gpu` (CUDA 11 libraries from PyPI, this project's CUDA kernels). NOT BUILT YET: there
# was no docker where this was written; tests/test_docker.py holds its shape.
#
#   docker build --target cpu -t vision-zoo:cpu .
#   docker build --target gpu -t vision-zoo:gpu .                            compute capability 6.0 to 8.9
#   docker build --target gpu -t vision-zoo:hopper --build-arg GPU_REQUIREMENTS=requirements-gpu-hopper.txt .
#   docker run --rm --gpus all --ipc=host -v "$PWD/out:/out" vision-zoo:gpu bash scripts/first_gpu_run.sh /out/first
#
# The driver is the machine's (NVIDIA's container toolkit brings it in). /out must be writable for user 1000.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm
ARG CUDA_IMAGE=nvidia/cuda:11.8.0-devel-ubuntu22.04

# The CUDA kernels, for every architecture that this nvcc knows and for later ones; the CUDA runtime is linked in.
FROM ${CUDA_IMAGE} AS kernels
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY src/ops/ src/ops/
RUN python3 src/ops/build.py

FROM ${PYTHON_IMAGE} AS cpu
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ openmpi-bin openssh-client \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/vision-zoo
COPY requirements.txt requirements-export.txt ./
RUN python3 -m pip install --no-cache-dir -r requirements-export.txt
COPY . .
ENV PYTHON=/usr/local/bin/python3
RUN bash scripts/build_custom.sh \
    && useradd --create-home --uid 1000 zoo \
    && chown -R zoo:zoo /opt/vision-zoo
USER zoo
CMD ["bash"]

FROM cpu AS gpu
ARG GPU_REQUIREMENTS=requirements-gpu.txt
USER root
RUN python3 -m pip install --no-cache-dir -r "${GPU_REQUIREMENTS}"
COPY --from=kernels /build/src/ops/bin/custom_ops_gpu.so src/ops/bin/
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility LD_LIBRARY_PATH=/usr/local/lib/cuda11/lib
# Makes the folder of links that LD_LIBRARY_PATH names, and ends the build where a library but the driver's is missing.
RUN bash scripts/check_gpu.sh
USER zoo
