# The server of live avatars. docs/container.md says how it is run.
#
#   docker build -t ifmdm-jax .                                      one that runs on processors
#   docker build -t ifmdm-jax:gpu --build-arg JAX='jax[cuda13]' .    one for NVIDIA's

FROM python:3.11.14-slim-bookworm AS build
ARG JAX=jax
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /src
# What is needed, in the versions that were tested together: made anew only where these two change.
COPY requirements.txt pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(p['dependencies'] + p['optional-dependencies']['serve']))" > needed.txt \
 && pip install --constraint requirements.txt --requirement needed.txt "$JAX"
COPY README.md ./
COPY ifmdm_jax ifmdm_jax
RUN pip install --no-deps .

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin avatar \
 && install --directory --owner=avatar --mode=0700 /cache
COPY --from=build /opt/venv /opt/venv
# All that is ever written: compiled programs and settings in /cache, what is uploaded in /tmp.
ENV PATH=/opt/venv/bin:$PATH HOME=/cache XDG_CACHE_HOME=/cache XDG_CONFIG_HOME=/cache \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
VOLUME /cache
USER 10001:10001
WORKDIR /tmp
EXPOSE 8765
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=180s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8765/healthz', timeout=3)"]
# Whoever runs it gives it a token, by IFMDM_TOKEN or --token; without one it says so and ends.
ENTRYPOINT ["python", "-m", "ifmdm_jax.serve", "--host", "0.0.0.0", "--port", "8765"]
