"""Invented people and things of the demo. No name, address or number here belongs to anybody."""

from typing import Final

GIVEN: Final = (
    "Ada", "Bo", "Carmen", "Dev", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jun", "Keiko", "Luis", "Mara", "Noah",
    "Olga", "Priya", "Quinn", "Rosa", "Sam", "Tomas", "Uma", "Vera", "Wen", "Xenia", "Yusuf", "Zoe",
)  # fmt: skip
FAMILY: Final = (
    "Alvarez", "Brandt", "Castillo", "Dufour", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jensen", "Kaur",
    "Lindqvist", "Moreno", "Novak", "Okafor", "Petrov", "Quiroga", "Rossi", "Sato", "Tran", "Ueda", "Vargas", "Weber",
)  # fmt: skip
CHINESE: Final = (
    "陈立", "王敏", "李强", "张伟", "刘洋", "赵静", "黄磊", "周婷", "吴昊", "徐慧", "孙鹏", "马丽", "朱峰", "胡月",
)  # fmt: skip

PARTS: Final[dict[str, tuple[tuple[str, str, str], ...]]] = {
    "drainage": (
        ("DR-GRATE", "Catch basin grate 600 mm", "piece"),
        ("DR-TRAP", "Side sewer trap 4 in", "piece"),
        ("DR-SEAL", "Manhole seal ring", "piece"),
        ("DR-FLAP", "Backwater flap valve", "piece"),
    ),
    "glazing": (
        ("GL-PANE", "Safety glass pane 60 × 90", "piece"),
        ("GL-PUTTY", "Glazing putty", "tin"),
        ("GL-LOCK", "Sash lock", "piece"),
    ),
    "building": (
        ("BM-HINGE", "Door hinge", "piece"),
        ("BM-LOCK", "Cylinder lock", "piece"),
        ("BM-TAP", "Tap cartridge", "piece"),
    ),
    "cleaning": (
        ("CL-SOLV", "Graffiti remover 1 l", "bottle"),
        ("CL-COAT", "Anti-graffiti coating 1 l", "tin"),
    ),
    "roads": (("RD-COLD", "Cold asphalt 25 kg", "sack"), ("RD-CONE", "Traffic cone", "piece")),
    "signs": (("SG-POST", "Sign post 3 m", "piece"), ("SG-BATT", "Meter battery pack", "piece")),
    "survey": (("SV-TAG", "Asset tag", "piece"),),
}
"""Code, name and unit of the parts by skill."""

ASSETS: Final[dict[str, tuple[str, str, str]]] = {
    "drainage": ("CB", "CatchBasin 600", "Catch basin"),
    "glazing": ("WN", "Sash 60/90", "Window"),
    "building": ("UN", "Unit", "Dwelling unit"),
    "cleaning": ("SF", "Surface", "Wall or cabinet"),
    "roads": ("RS", "Segment", "Road segment"),
    "signs": ("MT", "Meter M5", "Meter or sign"),
    "survey": ("PT", "Survey point", "Survey point"),
}
"""Serial prefix, model and name of what is repaired, by skill."""

FINDINGS: Final = (
    "Blocked by leaves and silt.",
    "Frame warped, pane cracked.",
    "Worn seal, water seeps in.",
    "Old paint under new paint, two layers.",
    "Cover loose, bolts missing.",
    "格栅堵塞,需清理。",
)
NOTES: Final = (
    "Access through the side gate, ask the caretaker.",
    "Dog on the premises.",
    "Second basin around the corner looks as bad.",
    "客户希望下次提前电话通知。",
    "Parking only on the north side.",
)
ACCESS_NOTES: Final = (
    "Gate code at the porter's.",
    "Ring at the back door.",
    "Cellar key is in the kiosk.",
    "门禁请联系物业。",
)
RESOLUTIONS: Final = (
    "Cleared and flushed.",
    "Part replaced, tested.",
    "Cleaned and coated.",
    "已修复并测试。",
    "Made safe, area swept.",
)
OBJECTIONS: Final = ("The smell is still there.", "The pane is scratched.", "地面没有清理干净。")


def person(number: int) -> tuple[str, str]:
    """The name and language of the demo's engineer number `number`, from 0: every third one speaks Chinese."""
    if number % 3 == 2:
        turn, at = divmod(number // 3, len(CHINESE))
        return CHINESE[at] + ("" if turn == 0 else f" {turn + 1}"), "zh"
    # 26 and 23 share no divisor: 598 different names.
    return f"{GIVEN[number % len(GIVEN)]} {FAMILY[number % len(FAMILY)]}", "en"


def fictional_phone(number: int) -> str:
    """A telephone number of the range that is kept for fiction, 555-0100 to 555-0199, in four area codes."""
    area = (415, 628, 510, 650)[number // 100 % 4]
    return f"+1{area}55501{number % 100:02d}"
