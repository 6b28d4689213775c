"""The page at `/`: which doors there are, in the visitor's language."""

from html import escape
from typing import Any

from litestar import MediaType, Request, Response, get

from callout_backend.problems import locale_of
from callout_backend.web.assets import ICON, STATIC_FOLDER, asset

TITLE = "Callout"
LEAD = {
    "en": "Field service: orders, dispatch, and engineers' phones that work offline.",
    "zh": "现场服务:工单、派工,以及可离线工作的工程师手机端。",
}
DOORS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "/desk",
        "/desk",
        {"en": "the agents' desk: orders that wait for an answer", "zh": "客服工作台:等待响应的工单"},
    ),
    (
        "/hotline",
        "/hotline",
        {
            "en": "the hotline's form: a caller's request, checked as it is typed",
            "zh": "热线受理:边录入边预检",
        },
    ),
    (
        "",
        "/r/…",
        {"en": "customers' form, by an organisation's short name", "zh": "客户在线报修表单,地址中为组织标识"},
    ),
    (
        "/graphql",
        "GraphQL",
        {"en": "for dispatchers, phones and systems", "zh": "面向调度员、手机与系统的接口"},
    ),
    ("/v1/docs", "/v1", {"en": "the API for other systems", "zh": "面向其他系统的开放接口"}),
    (
        "",
        "/s/…",
        {"en": "customers' sign-off, by the link they were sent", "zh": "客户签收,通过收到的链接访问"},
    ),
    (
        "/sink",
        "/sink",
        {"en": "messages as they would have been sent, for admins", "zh": "待发消息预览(管理员)"},
    ),
    ("/healthz", "/healthz", {"en": "whether this process is alive", "zh": "进程是否存活"}),
    ("/readyz", "/readyz", {"en": "whether what it leans on is in order", "zh": "所依赖的服务是否正常"}),
    ("/metrics", "/metrics", {"en": "measurements for Prometheus", "zh": "Prometheus 指标"}),
)


def render(locale: str) -> str:
    """The page in `en` or `zh`."""
    rows = "".join(
        f"<dt>{_link(address, name)}</dt><dd>{escape(text[locale])}</dd>" for address, name, text in DOORS
    )
    return (
        f'<!doctype html><html lang="{locale}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{TITLE}</title><link rel="icon" href="{asset(ICON)}" type="image/svg+xml">'
        f'<link rel="stylesheet" href="{asset("home.css")}"></head>'
        f'<body><h1>{TITLE}</h1><p class="lead">{escape(LEAD[locale])}</p><dl>{rows}</dl></body></html>'
    )


def _link(address: str, name: str) -> str:
    return f'<a href="{address}">{escape(name)}</a>' if address else escape(name)


@get("/", media_type=MediaType.HTML, include_in_schema=False)
async def home(request: Request[Any, Any, Any]) -> Response[str]:
    """The page of doors."""
    locale = locale_of(request.headers.get("accept-language"))
    return Response(
        render(locale),
        media_type=MediaType.HTML,
        headers={"Content-Language": locale, "Vary": "Accept-Language"},
    )


@get("/favicon.ico", media_type="image/svg+xml", include_in_schema=False)
async def icon() -> Response[bytes]:
    """The icon where a browser looks for it of itself: beside an answer that is no page and cannot name one."""
    return Response(
        (STATIC_FOLDER / ICON).read_bytes(),
        media_type="image/svg+xml",
        headers={"Cache-Control": "public, max-age=86400"},
    )
