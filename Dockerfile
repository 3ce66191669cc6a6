# For the processor:  docker build -t xanes-hpc .
# With CUDA:          docker build --target gpu -t xanes-hpc:gpu .
# docs/gpu.md shows how to run both. Any Python that pyproject.toml allows: --build-arg PYTHON=3.13
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY xanes_hpc xanes_hpc
COPY kernels kernels
COPY hdf5_schema hdf5_schema
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim AS base
COPY constraints.txt /tmp/
COPY --from=wheel /wheels /wheels
# Kernels are compiled at first use. A volume at this folder keeps them; any user may write to it.
ENV NUMBA_CACHE_DIR=/var/cache/xanes-hpc
RUN mkdir --mode 1777 $NUMBA_CACHE_DIR
WORKDIR /work

# The NVIDIA Container Toolkit brings the driver's libraries in, if these are set and the container is run with --gpus.
FROM base AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt "$(ls /wheels/*.whl)[gpu]" && xanes-hpc --version
USER 1000
ENTRYPOINT ["xanes-hpc"]
CMD ["--help"]

FROM base AS cpu
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt /wheels/*.whl && xanes-hpc --version
USER 1000
ENTRYPOINT ["xanes-hpc"]
CMD ["--help"]
