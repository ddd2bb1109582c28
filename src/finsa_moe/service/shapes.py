"""What requests and answers look like on the wire, with examples: the schemas that the OpenAPI shows.

Requests are checked by these; answers are written by `wire`, which gives what the schemas say, and are not checked
again. It knows no limit but the sizes of numbers: how many texts a service takes is its setting.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from finsa_moe.errors import DataError
from finsa_moe.runtime.prediction import Prediction

DIGITS = 6
OPEN = (403, 421)
"""What any request may be refused with, and, with more, one that has to bear the token where there is one."""
ASKED = (401, *OPEN, 429)
_REFUSALS = {
    400: "Not JSON, or not HTTP", 401: "No token, or another", 403: "From a page of another site",
    404: "No such answer, or not any more", 408: "The body came too slowly",
    409: "The folder holds no model that answers; the old one stays", 413: "Too large",
    415: "Another media type, or compressed", 421: "Not asked by a loopback name",
    422: "A field is not what it must be", 429: "Too many at once", 503: "More is waiting than can be answered in time",
    507: "The service's disk takes no more",
}  # fmt: skip
Share = Annotated[float, Field(ge=0, le=1)]
EXAMPLE = ["北屿医药因信息披露违规被立案调查,股价开盘跌停", "放量突破前高,拿稳了"]


class PredictRequest(BaseModel):
    """One text or many."""

    model_config = ConfigDict(extra="forbid", strict=True)

    texts: Annotated[
        list[str],
        BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
        WithJsonSchema(
            {
                "description": "A text, or a list of them; each holds something to read.",
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
                ],
                "examples": [EXAMPLE, EXAMPLE[0]],
            }
        ),
    ]
    domain: str | None = Field(
        None, description="Expert to use; null leaves it to the router.", examples=[None, "news"]
    )
    scores: bool = Field(True, description="Whether answers hold all three scores and every expert's weight.")
    explain: bool = Field(False, description="Whether answers hold each word's pull (extra `explain` on the server).")


class Scores(BaseModel):
    """Probability by class; they sum to 1."""

    bearish: Share
    neutral: Share
    bullish: Share


class WordPull(Scores):
    """A word, where it stands in the text as given, and its SHAP value by class."""

    word: str
    start: int
    end: int
    bearish: float
    neutral: float
    bullish: float


class Reasons(BaseModel):
    """Why: the values of the words lead from `base` to the scores; `experts` is what each expert says."""

    words: list[WordPull]
    base: Scores
    experts: dict[str, Scores]
    exact: bool


class Answer(BaseModel):
    """The polarity of one text."""

    sentiment: Annotated[str, Field(description="利空, 中性 or 利好", examples=["利空"])]
    label: Annotated[str, Field(description="bearish, neutral or bullish", examples=["bearish"])]
    confidence: Share
    expert: Annotated[str, Field(description="Domain whose expert answered", examples=["news"])]
    scores: Scores | None = None
    expert_weights: dict[str, Share] | None = None
    novelty: Annotated[float | None, Field(description="How unlike every known domain the text is")] = None
    truncated: bool
    uncertain: bool
    explanation: Reasons | None = None


class PredictResponse(BaseModel):
    """Answers in the order of the texts."""

    predictions: list[Answer]
    model: Annotated[str, Field(description="Name of the model that answered", examples=["FinSA-MoE default"])]


class ModelResponse(BaseModel):
    """What is served, and its limits."""

    name: str
    version: str
    labels: list[str]
    sentiments: list[str]
    experts: list[str]
    engine: str
    max_tokens: int
    explains: Annotated[bool, Field(description="Whether `explain` can be asked for")]
    limits: dict[str, int]
    card: dict[str, Any]


class Health(BaseModel):
    """That the process lives, or is ready."""

    status: Annotated[str, Field(examples=["ok"])]


class ProblemShape(BaseModel):
    """An error as RFC 9457 has it."""

    type: Annotated[str, Field(examples=["urn:finsa:invalid"])]
    title: str
    status: int
    detail: Annotated[str, Field(examples=["/texts/3: the text is empty"])]
    errors: list[dict[str, str]] | None = None


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route answers with, as its OpenAPI has them."""
    return {status: {"description": _REFUSALS[status]} for status in statuses}  # their shape is added to the whole


def wire(answer: Prediction, *, scores: bool, explanation: Any = None) -> dict[str, Any]:
    """An answer as `Answer` describes it, rounded to six digits; `explanation` is an `Explanation` or None."""
    found: dict[str, Any] = {
        "sentiment": answer.sentiment,
        "label": answer.label,
        "confidence": round(answer.confidence, DIGITS),
        "expert": answer.expert,
    }
    if scores:
        found["scores"] = _rounded(answer.scores)
        found["expert_weights"] = _rounded(answer.expert_weights)
    found["novelty"] = None if answer.novelty is None else round(answer.novelty, DIGITS)
    found["truncated"], found["uncertain"] = answer.truncated, bool(answer.uncertain)
    if explanation is not None:
        told = explanation.rounded(DIGITS).as_dict()
        kept = ("word", "start", "end", "bearish", "neutral", "bullish")
        found["explanation"] = {
            "words": [{name: word[name] for name in kept} for word in told["words"]],
            "base": told["base"],
            "experts": told["experts"],
            "exact": told["exact"],
        }
    return found


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(number, DIGITS) for name, number in numbers.items()}


def faults(answers: list[Prediction | DataError]) -> list[tuple[str, str]]:
    """Places of the texts that hold nothing to read."""
    said = "the text holds nothing to read; drop it or fill it"
    return [(f"/texts/{at}", said) for at, answer in enumerate(answers) if isinstance(answer, DataError)]
