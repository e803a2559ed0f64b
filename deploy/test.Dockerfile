# The API tests, for a stack that runs. Build context: the root of the repository.
FROM python:3.11-slim-bookworm
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN pip install "httpx>=0.28,<1" "nats-py>=2.15,<3" "pytest>=8.4,<10" "pytest-asyncio>=1.1,<2"
WORKDIR /qjet
COPY pyproject.toml ./
COPY tests/api tests/api
USER 10001:10001
CMD ["pytest", "-p", "no:cacheprovider", "tests/api"]
