"""What the demo's service desk knows: its products, words and answers, in English and Chinese. All of it is invented."""

from typing import Final

from callout_orders.knowledge.articles import ArticleText
from callout_orders.precheck.keywords import NewKeyword
from callout_orders.precheck.products import NewProduct

PRODUCTS: Final = (
    NewProduct(
        code="CP-60",
        name_en="Charging pile 60 kW",
        name_zh="60 千瓦充电桩",
        names=("CP60", "充电桩", "charging pile", "charger"),
        serial_pattern=r"CP-\d{4}-[A-Z]{2}\d{6}",
        serial_example="CP-2024-GG000101",
    ),
    NewProduct(
        code="MT-5",
        name_en="Parking meter M5",
        name_zh="M5 停车咪表",
        names=("Meter M5", "咪表"),
        serial_pattern=r"MT-\d{5}",
        serial_example="MT-00042",
    ),
    NewProduct(
        code="CB-600",
        name_en="Catch basin 600",
        name_zh="600 型雨水口",
        names=("CatchBasin 600", "雨水口"),
        serial_pattern=r"CB-\d{5}",
        serial_example="CB-00042",
    ),
    NewProduct(
        code="WN-6090",
        name_en="Sash window 60/90",
        name_zh="60/90 推拉窗",
        names=("Sash 60/90", "推拉窗"),
        serial_pattern=r"WN-\d{5}",
        serial_example="WN-00042",
    ),
)

KEYWORDS: Final = (
    NewKeyword(word="跳闸", tag="power", priority="P1"),
    NewKeyword(word="tripped", tag="power", priority="P1"),
    NewKeyword(word="漏电", tag="safety", priority="P1"),
    NewKeyword(word="sparks", tag="safety", priority="P1"),
    NewKeyword(word="刷卡", tag="card"),
    NewKeyword(word="card reader", tag="card"),
    NewKeyword(word="咪表", tag="meter"),
    NewKeyword(word="meter", tag="meter"),
    NewKeyword(word="发票", tag="invoice", kind="general"),
    NewKeyword(word="invoice", tag="invoice", kind="general"),
)


def _answer(locale: str, code: str | None, title: str, body: str, workaround: str = "") -> ArticleText:
    return ArticleText(
        title=title,
        body=body,
        workaround=workaround,
        locale=locale,
        model="CP60" if code in ("E07", "E12") else None,
        fault_code=code,
        for_customers=True,
    )


ARTICLES: Final = (
    _answer(
        "en",
        "E07",
        "E07: the charging pile does not start",
        "E07 means that the red stop button is pressed in. Turn it clockwise until it springs out, wait half a minute, and "
        "start again. If E07 comes back with the button out, the button itself is broken and we come.",
        "Use the pile next to it meanwhile.",
    ),
    _answer(
        "zh",
        "E07",
        "E07:充电桩无法启动",
        "E07 表示红色急停按钮被按下。请顺时针旋转按钮使其弹起,等待约 30 秒后重新启动。"
        "若按钮已弹起仍报 E07,说明按钮损坏,我们将安排工程师上门。",
        "可先使用相邻的充电桩。",
    ),
    _answer(
        "en",
        "E12",
        "E12: the card is not recognised",
        "Wipe the reader and hold the card flat against it for three seconds. Cards older than 2022 must be exchanged at the "
        "counter; until then the app starts the pile with the code on its front.",
    ),
    _answer(
        "zh",
        "E12",
        "E12:刷卡无法识别",
        "请擦拭读卡区,将卡片平贴三秒。2022 年以前发放的卡片需到柜台更换;更换前可在应用内扫描桩体正面的二维码启动。",
    ),
    _answer(
        "en",
        "M21",
        "M21: the parking meter shows LOW BATT",
        "The meter goes on for about two days. It takes coins and cards until the display goes dark; we change the battery "
        "pack on the next round.",
    ),
    _answer(
        "zh",
        "M21",
        "M21:咪表显示 LOW BATT",
        "咪表还可工作约两天,期间硬币与刷卡均可使用;我们会在下一次巡检时更换电池。",
    ),
    _answer(
        "en",
        None,
        "Where to find the serial number",
        "On the plate at the right side: charging piles begin with CP-, meters with MT-, catch basins with CB-.",
    ),
    _answer(
        "zh",
        None,
        "在哪里找到序列号",
        "序列号在设备右侧铭牌上:充电桩以 CP- 开头,咪表以 MT- 开头,雨水口以 CB- 开头。",
    ),
)

INTRO: Final = {
    "introEn": "Tell us what is wrong. With the serial number on the plate we know at once where you are.",
    "introZh": "请告诉我们出了什么问题。填写铭牌上的序列号,我们便能立即找到您的设备。",
}
