"""businesstimedelta's side of the desk bench: vectors and starts in on stdin as JSON, dues and seconds out.

It has no pauses: they are put together as its users would, the time until the pause, then the rest from its end on. A night
is a working day that ends before it starts; all day is every day from midnight to its last microsecond.
"""

import datetime as dt
import json
import sys
import time

import businesstimedelta as btd
import holidays
import pytz


def rules_of(told: dict) -> btd.Rules:
    """Its rules for a calendar."""
    zone = pytz.timezone(told["zone"])
    begin, end = (dt.time.fromisoformat(text) for text in told["hours"])
    rules = [btd.WorkDayRule(start_time=begin, end_time=end, working_days=told["days"], tz=zone)]
    if told["lunch"]:
        begin, end = (dt.time.fromisoformat(text) for text in told["lunch"])
        rules.append(btd.LunchTimeRule(start_time=begin, end_time=end, working_days=told["days"], tz=zone))
    if told["country"]:
        rules.append(btd.HolidayRule(holidays.country_holidays(told["country"]), tz=zone))
    return btd.Rules(rules)


def due(rules: btd.Rules, start: dt.datetime, minutes: float, pauses: list) -> dt.datetime:
    """When the budget is used up."""
    seconds = minutes * 60.0
    for since, until in pauses:
        used = rules.difference(start, since)
        used_s = used.hours * 3600 + used.seconds
        if used_s >= seconds:
            break
        seconds, start = seconds - used_s, until
    return start + btd.BusinessTimeDelta(rules, seconds=seconds)


def answer(vector: dict) -> str:
    """One vector's due as text, or what went wrong."""
    moments = [[dt.datetime.fromisoformat(text) for text in pause] for pause in vector["pauses"]]
    try:
        start = dt.datetime.fromisoformat(vector["start"])
        return due(rules_of(vector["calendar"]), start, vector["minutes"], moments).isoformat()
    except Exception as error:  # Whatever it raises is its answer.
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """The vectors, then the starts for speed."""
    asked = json.load(sys.stdin)
    found = [answer(vector) for vector in asked["vectors"]]
    rules = rules_of(asked["calendar"])
    starts = [dt.datetime.fromisoformat(text) for text in asked["starts"]]
    due(rules, starts[0], asked["minutes"], [])
    began = time.perf_counter()
    dues = [due(rules, start, asked["minutes"], []) for start in starts]
    seconds = time.perf_counter() - began
    json.dump({"vectors": found, "dues": [one.isoformat() for one in dues], "seconds": seconds}, sys.stdout)


main()
