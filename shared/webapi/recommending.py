"""ee_RecommendTemplates: the templates that fit a kind of record, the best first, and what is thought of each."""

from collections.abc import Mapping
from typing import Any

from shared.engagement.recommending import Judgement, percent
from shared.services.recommending import KINDS, recommend
from shared.storage.tables import Entity
from shared.webapi.context import Context
from shared.webapi.errors import bad_payload
from shared.webapi.operations import demand_parameters

NAME = "ee_RecommendTemplates"


async def recommend_templates(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response; raise `Failure` 400 where ``ObjectType`` is no kind of record that has recommendations."""
    demand_parameters(sent, NAME)
    kind = sent.get("ObjectType")
    if kind not in KINDS:
        given = f", not '{kind[:64]}'" if isinstance(kind, str) else ""
        raise bad_payload(
            f"{NAME} needs the parameter 'ObjectType', the kind of record that mail is written to{given}: one of "
            f"{', '.join(KINDS)}."
        )
    found = await recommend(context.organization, context.caller, kind, context.now)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.{NAME}Response",
        "Templates": [_told(template, judgement) for template, judgement in found],
    }


def _told(template: Entity, judgement: Judgement) -> dict[str, Any]:
    """Return a template as ``ee_RecommendedTemplate``."""
    replies, replies_low, replies_high = percent(judgement.replies)
    opens, opens_low, opens_high = percent(judgement.opens)
    return {
        "TemplateId": judgement.id,
        "Title": template["title"],
        "LanguageCode": template.get("languagecode"),
        "IsRecommended": judgement.recommended,
        "ReplyRate": replies,
        "ReplyRateLow": replies_low,
        "ReplyRateHigh": replies_high,
        "OpenRate": opens,
        "OpenRateLow": opens_low,
        "OpenRateHigh": opens_high,
        "ClickRate": round(100 * judgement.clickrate),
        "FollowedEmails": judgement.followed,
        "Evidence": int(judgement.evidence),
        "Reason": judgement.reason,
    }
