# One image for every part of the service; what a container is, its command says (docker-compose.yml).
FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --quiet uv==0.13.9
COPY requirements.txt .
RUN /opt/venv/bin/uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python -r requirements.txt \
    && /opt/venv/bin/pip uninstall --quiet --yes uv

FROM python:3.11-slim
# LightGBM and scikit-learn need OpenMP's library, which the slim image lacks.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 bakeoff && mkdir /data && chown bakeoff /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY --chown=root:root manage.py gunicorn.conf.py pyproject.toml README.md LICENSE ./
COPY --chown=root:root automl automl
COPY --chown=root:root workers workers
COPY --chown=root:root templates templates
COPY --chown=root:root static static
COPY --chown=root:root examples/wine_quality_white.csv examples/
RUN /opt/venv/bin/python -m compileall -q automl workers
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    AUTOML_HOME=/data AUTOML_HOST=0.0.0.0 AUTOML_PORT=8000
USER bakeoff
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Any answer of the web server will do: which hosts it serves is the operator's choice.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client as h, os; c = h.HTTPConnection('127.0.0.1', int(os.environ['AUTOML_PORT']), timeout=4); c.request('GET', '/api/v1/health/live/'); raise SystemExit(c.getresponse().status >= 500)"]
# Alone, the image is the whole service: docker run --init -p 8000:8000 -v bakeoff:/data IMAGE
CMD ["python", "manage.py", "serve"]
