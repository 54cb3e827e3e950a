"""POST /v1/embeddings: refused. A model of this size has no vectors worth comparing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from openai.types import CreateEmbeddingResponse
from pydantic import BaseModel, ConfigDict

from grader.openai_sim.store.errors import ApiError


class EmbeddingRequest(BaseModel):
    """The body of POST /v1/embeddings."""

    model_config = ConfigDict(extra="allow")

    model: str
    input: str | list[Any]


def router() -> APIRouter:
    """embeddings."""
    routes = APIRouter()

    @routes.post("/embeddings", response_model=CreateEmbeddingResponse)
    async def create_embedding(body: EmbeddingRequest) -> CreateEmbeddingResponse:
        """Always refused; says what to use instead."""
        raise ApiError(
            404,
            f"The model `{body.model[:100]}` makes no embeddings here: the models of this local "
            "service answer with text alone. Compute them in your own program, for example with "
            "sentence-transformers or with scikit-learn's TfidfVectorizer.",
            param="model",
            code="model_not_found",
        )

    return routes
