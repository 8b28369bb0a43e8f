"""CRON: previews of random expressions equal another implementation, and time zones are those of the newest release."""

import datetime
import random
import zoneinfo

import grpc
import tzdata
from cronsim import CronSim

import servers
import trailers

UTC = datetime.timezone.utc
EXPRESSIONS = 10_000
OCCURRENCES = 10

# Zones whose rules changed after release 2025b.
CHANGED_ZONES = [
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Edmonton",
    "America/Havana",
    "America/Inuvik",
    "America/Rainy_River",
    "America/Vancouver",
    "America/Winnipeg",
    "America/Yellowknife",
    "Europe/Chisinau",
]

MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
DAYS = "SUN MON TUE WED THU FRI SAT".split()


class Previews:
    """Calls PreviewSchedule."""

    def __init__(self, server, channel):
        self.exports = trailers.exports_grpc.ExportServiceStub(channel)
        token = server.token("viewer", "vera", trailers.ORGANIZATION)
        self.caller = {"metadata": [("authorization", f"Bearer {token}")]}

    def __call__(self, expression, start, time_zone="UTC", count=OCCURRENCES):
        """Returns the response, with occurrences from `start` on; None if the schedule never fires."""
        cron = trailers.export_pb.Schedule.Cron(expression=expression, time_zone=time_zone)
        schedule = trailers.export_pb.Schedule(cron=cron)
        schedule.start_time.FromDatetime(start)
        parent = f"organizations/{trailers.ORGANIZATION}"
        request = trailers.exports_pb.PreviewScheduleRequest(parent=parent, schedule=schedule, count=count)
        try:
            return self.exports.PreviewSchedule(request, **self.caller)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and "no occurrence" in str(error), (expression, error)
            return None


def random_field(rng, low, high, names=None):
    """Returns a random field of the grammar without `L` and `#`."""
    if rng.random() < 0.35:
        return "*"

    def value(number):
        return names[number - low] if names and number - low < len(names) and rng.random() < 0.4 else str(number)

    def item():
        kind = rng.randrange(5)
        if kind < 2:
            return value(rng.randint(low, high))
        if kind == 4:
            return f"*/{rng.randint(1, high)}"
        first = rng.randint(low, high - 1)
        last = rng.randint(first + 1, high)
        return f"{value(first)}-{value(last)}" + (f"/{rng.randint(1, high)}" if kind == 3 else "")

    return ",".join(item() for _ in range(rng.randint(1, 3)))


def random_expression(rng):
    """Returns a random expression."""
    day = rng.choice(["L", random_field(rng, 1, 31), random_field(rng, 1, 31)])
    weekday = rng.choice(
        [
            f"{rng.choice(DAYS)}#{rng.randint(1, 5)}",
            f"{rng.randrange(7)}L",
            random_field(rng, 0, 6, DAYS),
            random_field(rng, 0, 6, DAYS),
            random_field(rng, 0, 6, DAYS),
        ]
    )
    month = random_field(rng, 1, 12, MONTHS)
    return f"{random_field(rng, 0, 59)} {random_field(rng, 0, 23)} {day} {month} {weekday}"


def steps_in_a_day_field(expression):
    """Whether cronsim differs on purpose: it treats `*/n` in a day field as unset, as Vixie cron does.

    Then both day fields must match; in Outflow either.
    """
    _, _, day, _, weekday = expression.split()
    return day != "*" != weekday and (day.startswith("*") or weekday.startswith("*"))


def check_expressions(preview):
    """Compares random expressions with cronsim."""
    rng = random.Random(20261126)
    now = datetime.datetime.now(UTC).replace(second=0, microsecond=0)
    compared = skipped = 0
    while compared < EXPRESSIONS:
        expression = random_expression(rng)
        if steps_in_a_day_field(expression):
            skipped += 1
            continue
        start = now + datetime.timedelta(minutes=rng.randint(1, 3 * 366 * 1440))
        try:
            search = CronSim(expression, (start - datetime.timedelta(minutes=1)).replace(tzinfo=None))
            expected = [next(search).replace(tzinfo=UTC) for _ in range(OCCURRENCES)]
        except StopIteration:
            expected = []
        response = preview(expression, start)
        if response is None:
            horizon = now + datetime.timedelta(days=5 * 365)
            assert not expected or expected[0] > horizon, (expression, start, expected[:1])
        else:
            found = [occurrence.time.ToDatetime(UTC) for occurrence in response.occurrences]
            # cronsim stops at 50 years.
            assert found == expected or not expected, (expression, start, found, expected)
        compared += 1
    return compared, skipped


def check_difference(preview):
    """The documented difference: every other day of the month, or on a Monday."""
    start = datetime.datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + datetime.timedelta(days=1)
    times = [occurrence.time.ToDatetime(UTC) for occurrence in preview("0 0 */2 * MON", start, count=60).occurrences]
    assert all(time.day % 2 == 1 or time.weekday() == 0 for time in times)
    assert any(time.day % 2 == 0 for time in times) and any(time.weekday() != 0 for time in times)


def check_zones(preview):
    """Compares the offsets of zones that changed with those of the newest Python package."""
    zoneinfo.reset_tzpath(to=[])  # the package instead of the system's files
    compared = 0
    for name in CHANGED_ZONES:
        zone = zoneinfo.ZoneInfo(name)
        for year in range(datetime.datetime.now(UTC).year + 1, datetime.datetime.now(UTC).year + 5):
            start = datetime.datetime(year, 1, 1, tzinfo=UTC)
            for part in range(4):
                response = preview("30 */6 * * *", start + datetime.timedelta(days=91 * part), name, count=100)
                assert response.time_zone_release == tzdata.IANA_VERSION, response.time_zone_release
                for occurrence in response.occurrences:
                    expected = occurrence.time.ToDatetime(UTC).astimezone(zone).isoformat()
                    assert occurrence.local_time == expected, (name, occurrence.local_time, expected)
                    compared += 1
    return compared


if __name__ == "__main__":
    with servers.serving() as server, grpc.insecure_channel(server.address) as channel:
        preview = Previews(server, channel)
        compared, skipped = check_expressions(preview)
        check_difference(preview)
        instants = check_zones(preview)
        print(f"gate CRON: {compared} expressions equal cronsim, {skipped} with the documented difference left out")
        print(f"gate ZONES: {len(CHANGED_ZONES)} zones, {instants} instants equal tzdata {tzdata.IANA_VERSION}")
