"""What the pre-check says to people: what was wrong and what to do, in English and Chinese."""

from __future__ import annotations

from typing import Final

from callout_orders.checks import add_reasons

NOUNS: Final[dict[str, tuple[str, str]]] = {
    "contact_name": ("a contact's name", "联系人姓名"),
    "contact_phone": ("a telephone number to call back", "联系电话"),
    "contact_email": ("an e-mail address", "电子邮箱"),
    "serial": ("the machine's serial number", "设备序列号"),
    "product": ("the product or model", "产品或型号"),
    "error_code": ("the error code", "故障代码"),
    "address": ("the address", "地址"),
    "description": ("a description of the fault", "故障描述"),
}
"""What a required field is called, by its name in `kinds.terms.RequiredCheck`."""

PATHS: Final[dict[str, str]] = {
    "contact_name": "contactName",
    "contact_phone": "contactPhone",
    "contact_email": "contactEmail",
    "serial": "serial",
    "product": "product",
    "error_code": "errorCode",
    "address": "address",
    "description": "description",
}

FORMS: Final[dict[str, tuple[str, str]]] = {
    "mobile": ("a mobile number", "手机号码"),
    "landline": ("a landline number", "固定电话"),
    "service": ("a service number (400, 800)", "400/800 服务号码"),
}

add_reasons(
    {
        "needed": (
            "{noun} is needed: fill it in, or write it in the description",
            "缺少{noun_zh}:请填写,或写在描述中",
        ),
        "needed_field": ("“{noun}” is needed: fill it in", "请填写“{noun_zh}”"),
        "description_short": (
            "it says too little ({given} characters of at least {low}): write what happens and since when",
            "描述过短({given} 个字符,至少 {low} 个):请说明现象及开始时间",
        ),
        "phone_digits": (
            "{given} has {digits} digits; a mobile number has 11, a landline starts with its area code (010-…), "
            "a service number starts with 400 or 800 and has 10: check the digits",
            "{given} 有 {digits} 位数字;手机号码为 11 位,固定电话须带区号(010-…),400/800 号码为 10 位:请核对",
        ),
        "phone_unreadable": (
            "{given} is not a telephone number that can be dialled: check it, and begin with + and the country code for a "
            "number abroad",
            "{given} 不是有效的电话号码:请核对;境外号码请以 + 和国家代码开头",
        ),
        "phone_kind": (
            "{given} is {found}; here it must be {forms}",
            "{given} 是{found_zh};此处须填写{forms_zh}",
        ),
        "phone_country": (
            "{given} is a number of {found}; numbers of {countries} are taken",
            "{given} 是 {found} 的号码;仅接受 {countries} 的号码",
        ),
        "serial_form": (
            "{given} does not look like a serial number: it has 3 to 80 letters and digits, one of them a digit; "
            "copy it from the type plate",
            "{given} 不像序列号:应为 3 至 80 个字母或数字,且含数字;请按铭牌抄录",
        ),
        "serial_product": (
            "{given} does not fit {product}, whose serials are written like {example}: check it on the type plate",
            "{given} 不符合 {product_zh} 的序列号格式(示例:{example}):请核对铭牌",
        ),
        "serial_other_product": (
            "{given} is a serial of {other}, not of {product}: correct the serial or the product",
            "{given} 是 {other_zh} 的序列号,而非 {product_zh}:请更正序列号或产品",
        ),
        "serial_unknown": (
            "{given} fits none of the products; serials are written like {example}: check it on the type plate",
            "{given} 不符合任何产品的序列号格式(示例:{example}):请核对铭牌",
        ),
        "product_unknown": (
            "there is no product {given}; there are: {options}",
            "没有产品 {given};可用:{options}",
        ),
        "attachment_needed": (
            "{count} of these files are needed with it ({media}), {given} came: add them",
            "须附上 {count} 个文件({media}),收到 {given} 个:请补充",
        ),
        "rule": ("{en}", "{zh}"),
        "unknown_customer": (
            "no customer is known by what was given: name one (customerId or customerNumber), or give a telephone number or "
            "serial that is known",
            "无法识别客户:请提供客户(customerId 或 customerNumber),或已登记的电话、序列号",
        ),
        "unknown_site": (
            "the customer has {count} sites and it is not clear which one: name it (siteId), or give the address",
            "该客户有 {count} 个现场,无法确定是哪一个:请指定现场(siteId)或填写地址",
        ),
        "unknown_site_none": (
            "the customer has no such site: make one first, or name a siteId",
            "该客户没有此现场:请先创建,或提供 siteId",
        ),
        "pattern_long": ("a pattern has at most 200 characters", "格式最多 200 个字符"),
        "pattern_count": (
            "at {at}: a count is ?, {{n}} or {{n,m}} with 1 to 80",
            "第 {at} 位:次数须写作 ?、{{n}} 或 {{n,m}},范围 1 至 80",
        ),
        "pattern_ways": (
            "at {at}: it could be read in more than {given} ways, so matching could take long; use fixed counts",
            "第 {at} 位:可匹配方式超过 {given} 种,匹配可能过慢;请使用固定次数",
        ),
        "pattern_takes": (
            "at {at}: it takes more than {given} characters",
            "第 {at} 位:可匹配的字符超过 {given} 个",
        ),
        "pattern_short": ("a serial has at least 3 characters", "序列号至少 3 个字符"),
        "pattern_class": (
            "at {at}: a class is letters, digits and ranges of them, such as [A-HJ-NP-Z0-9]",
            "第 {at} 位:字符集只能包含字母、数字及其范围,例如 [A-HJ-NP-Z0-9]",
        ),
        "pattern_group": (
            "at {at}: a group is alternatives of letters and digits, such as (?:AC|DC)",
            "第 {at} 位:分组只能是字母或数字的备选,例如 (?:AC|DC)",
        ),
        "pattern_sign": (
            "at {at}: {given} is not read; there are letters, digits, \\d, [A-Z0-9], (?:A|B), ?, {{n}}, {{n,m}}, and -./_ to "
            "group",
            "第 {at} 位:不支持 {given};可用:字母、数字、\\d、[A-Z0-9]、(?:A|B)、?、{{n}}、{{n,m}},以及分隔符 -./_",
        ),
        "pattern_example": ("the example does not fit the pattern", "示例不符合格式"),
        "product_code": (
            "a code is a letter or digit, then up to 59 letters, digits, dots, hyphens and underscores",
            "代码以字母或数字开头,后接至多 59 个字母、数字、点、连字符或下划线",
        ),
        "threshold_order": (
            "it must not be above the threshold from which duplicates are sure",
            "不得高于自动关联的阈值",
        ),
        "keyword_word": (
            "a keyword has 1 to {limit} characters, with a letter, digit or Chinese character",
            "关键词为 1 至 {limit} 个字符,且含字母、数字或汉字",
        ),
        "merge_self": ("an order cannot be merged into itself", "工单不能合并到自身"),
        "merge_duplicate": (
            "order {given} is itself a duplicate of another: merge into that one, or unlink it first",
            "工单 {given} 本身是其他工单的重复单:请合并到原单,或先解除关联",
        ),
        "merge_visits": (
            "order {given} has visits that are planned or under way: cancel them, or merge the other way round",
            "工单 {given} 有已排程或进行中的任务:请先取消,或反向合并",
        ),
        "merge_customer": ("the orders are of different customers", "两张工单属于不同客户"),
    }
)
