"""Telling people from machines."""

import json
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.hits import Hit, Kind
from shared.engagement.labels import Email, Label, Observation, _is_far, dump, judge, load, observe, source_hash
from tests.unit import making_hits as made
from tests.unit.making_hits import DAY, HOUR, KEY, MINUTE, SECOND, an_email, clicked, hit, opened, seen

PERSON, PROXY, MACHINE, SENDER = Label.PERSON, Label.PROXY, Label.MACHINE, Label.SENDER


def labels(observations: list[Observation], email: Email | None = None) -> list[Label]:
    return [verdict.label for verdict in judge(email or an_email(), observations)]


# --- people


@pytest.mark.parametrize("agent", [made.CHROME, made.EDGE, made.FIREFOX, made.SAFARI, made.OUTLOOK, made.APPLE_MAIL])
def test_a_mail_displayed_in_a_usual_client_was_opened_by_a_person(agent: str) -> None:
    assert labels([opened(2 * HOUR, agent=agent)]) == [PERSON]


def test_opening_ten_seconds_after_delivery_makes_nobody_a_machine() -> None:
    assert labels([opened(10 * SECOND), clicked(0, 25 * SECOND)]) == [PERSON, PERSON]


def test_opening_the_very_moment_the_mail_is_out_makes_nobody_a_machine() -> None:
    assert labels([opened(0)]) == [PERSON]
    assert labels([opened(0)], replace(an_email(), sent_at=None)) == [PERSON]


def test_three_links_over_some_seconds_are_a_persons() -> None:
    hits = [opened(HOUR), clicked(0, HOUR + 9000), clicked(2, HOUR + 12_500), clicked(1, HOUR + 17_000)]
    assert labels(hits) == [PERSON] * 4


def test_opening_and_clicking_seconds_apart_from_one_address_is_a_persons() -> None:
    assert labels([opened(HOUR, agent=made.OUTLOOK), clicked(0, HOUR + 2500)]) == [PERSON, PERSON]


def test_a_click_without_an_open_is_a_persons() -> None:
    assert labels([clicked(0, HOUR)]) == [PERSON]


@pytest.mark.parametrize(("agent", "ip"), [(made.GMAIL, made.GOOGLE), (made.YAHOO, "98.137.12.3")])
def test_a_display_proxy_fetches_because_somebody_looks(agent: str, ip: str) -> None:
    assert labels([opened(MINUTE, agent=agent, ip=ip)]) == [PERSON]


def test_outlook_on_the_web_fetches_pictures_because_somebody_looks() -> None:
    found = judge(an_email(), [opened(MINUTE, ip=made.OUTLOOK_WEB, without=("accept-language",))])
    assert (found[0].label, found[0].reason) == (PERSON, "displayed in Outlook on the web")


def test_safari_behind_private_relay_clicks_for_a_person() -> None:
    assert labels([clicked(0, HOUR, ip=made.RELAY, agent=made.SAFARI)]) == [PERSON]


def test_a_forwarded_mail_is_read_by_people_elsewhere() -> None:
    hits = [
        opened(HOUR),
        opened(2 * HOUR, ip=made.ELSEWHERE, agent=made.OUTLOOK),
        clicked(0, 2 * HOUR, ip=made.ELSEWHERE),
    ]
    assert labels(hits) == [PERSON] * 3


def test_an_old_browser_alone_is_a_patient_person() -> None:
    assert labels([clicked(0, DAY, agent=made.CHROME_101)]) == [PERSON]


def test_an_advertisers_parameter_on_a_passed_on_link_is_nobodys_fault() -> None:
    assert labels([clicked(0, MINUTE, query="fbclid=IwAR0abc")]) == [PERSON]


# --- proxies


@pytest.mark.parametrize("ip", [made.RELAY, made.HOME])
def test_apples_privacy_proxy_tells_nothing(ip: str) -> None:
    assert labels([opened(30 * SECOND, agent=made.APPLE_PRIVACY, ip=ip, without=("accept-language",))]) == [PROXY]


def test_apple_mail_is_a_proxy_from_the_relay_and_a_person_from_home() -> None:
    relay, home = (opened(HOUR, agent=made.APPLE_MAIL, ip=ip) for ip in (made.RELAY, made.HOME))
    assert labels([relay, home]) == [PROXY, PERSON]


def test_a_bare_agent_that_clicks_is_no_privacy_proxy() -> None:
    hits = [opened(9 * SECOND, agent="Mozilla/5.0"), clicked(0, 40 * SECOND, agent="Mozilla/5.0")]
    assert labels(hits) == [MACHINE, MACHINE]


# --- machines by what one hit shows


@pytest.mark.parametrize(
    "agent", ["", "python-requests/2.32.3", "Slackbot 1.0", "Barracuda Sentinel (EE)", made.GMAIL_AHEAD]
)
def test_who_says_to_be_a_machine_is_one(agent: str) -> None:
    assert labels([opened(DAY, agent=agent)]) == [MACHINE]


def test_asking_only_whether_it_is_there_is_not_looking_at_it() -> None:
    assert labels([clicked(0, DAY, method="HEAD"), clicked(0, DAY + HOUR)]) == [MACHINE, PERSON]


@pytest.mark.parametrize("header", ["sec_purpose", "purpose", "x_moz", "x_purpose"])
def test_what_a_browser_fetches_ahead_nobody_saw(header: str) -> None:
    assert labels([clicked(0, HOUR, **{header: "prefetch"}), clicked(0, HOUR + MINUTE)]) == [MACHINE, PERSON]


@pytest.mark.parametrize("ip", [made.MAIL_FILTER, made.DETONATION, "209.222.82.9"])
def test_nobody_reads_mail_in_a_mail_filters_network(ip: str) -> None:
    assert labels([opened(DAY, ip=ip), clicked(0, DAY + MINUTE, ip=ip)]) == [MACHINE, MACHINE]


def test_microsoft_fetches_links_to_check_them() -> None:
    assert labels([opened(HOUR, ip=made.OUTLOOK_WEB), clicked(0, HOUR, ip=made.OUTLOOK_WEB)]) == [PERSON, MACHINE]


def test_a_vendors_network_scans_early_and_shows_pages_to_people_late() -> None:
    early, late = clicked(0, MINUTE, ip=made.VENDOR), clicked(0, 3 * HOUR, ip=made.VENDOR)
    assert labels([early]) == [MACHINE]
    assert labels([late]) == [PERSON]


def test_a_data_centre_scans_early_unless_somebody_reads_mail_there() -> None:
    click = clicked(0, MINUTE, ip=made.AZURE)
    assert labels([click]) == [MACHINE]
    assert labels([opened(50 * SECOND, ip=made.AZURE, agent=made.OUTLOOK), click]) == [PERSON, PERSON]


def test_a_browser_always_names_a_language() -> None:
    assert labels([clicked(0, MINUTE, without=("accept-language",))]) == [MACHINE]
    assert labels([clicked(0, DAY, without=("accept-language", "accept"))]) == [MACHINE]


def test_a_stale_browser_soon_after_sending_is_a_scanners() -> None:
    assert labels([clicked(0, 40 * SECOND, agent=made.CHROME_101)]) == [MACHINE]


def test_changed_tracking_parameters_soon_after_sending_are_a_scanners() -> None:
    assert labels([clicked(0, MINUTE, query="utm_source=qzxv")]) == [MACHINE]


def test_a_browser_whose_hints_say_headless_is_a_machine() -> None:
    assert labels([opened(DAY, sec_ch_ua='"HeadlessChrome";v="144"')]) == [MACHINE]


@pytest.mark.parametrize("ip", [made.AZURE, made.CLOUD])
@pytest.mark.parametrize("agent", [made.GMAIL, made.APPLE_PRIVACY])
def test_googles_and_apples_proxies_do_not_live_in_rented_data_centres(agent: str, ip: str) -> None:
    assert labels([opened(HOUR, agent=agent, ip=ip)]) == [MACHINE]


def test_apple_mail_previews_links_and_safari_follows_them() -> None:
    previews = [clicked(i, HOUR + 2000 * (i + 1), agent=made.APPLE_MAIL) for i in range(5)]
    hits = [opened(HOUR, agent=made.APPLE_MAIL), *previews, clicked(3, HOUR + MINUTE, agent=made.SAFARI)]
    assert labels(hits) == [PERSON, *[MACHINE] * 5, PERSON]


def test_a_webkit_without_a_browsers_name_is_apple_mail_on_apples_systems_only() -> None:
    windows = made.APPLE_MAIL.replace("Macintosh; Intel Mac OS X 10_15_7", "Windows NT 10.0; Win64; x64")
    assert labels([clicked(0, MINUTE, agent=windows)]) == [MACHINE]


@pytest.mark.parametrize("query", ["_gl=1*q7", "ttclid=E.C.P", "igsh=MzRl"])
def test_what_other_tools_add_to_a_link_is_nobodys_fault(query: str) -> None:
    assert labels([clicked(0, MINUTE, query=query)]) == [PERSON]


# --- machines by what several hits show


@pytest.mark.parametrize("pace", [10, 2000])
@pytest.mark.parametrize("how", [{"sec_purpose": "prefetch"}, {"method": "HEAD"}])
def test_what_the_readers_own_programs_fetch_ahead_makes_no_machine_of_the_reader(
    how: dict[str, object], pace: int
) -> None:
    ahead = [clicked(i, HOUR + SECOND + pace * i, **how) for i in range(5)]
    for email in (an_email(), an_email(ip=made.HOME)):
        reader = SENDER if email.sender_source else PERSON
        found = labels([opened(HOUR), *ahead, clicked(3, HOUR + MINUTE)], email)
        assert found == [reader, *[MACHINE] * 5, reader]


def test_who_asks_for_all_links_at_once_after_sending_has_not_opened_the_mail() -> None:
    asks = [clicked(i, 22 * SECOND + 30 * i, method="HEAD") for i in range(5)]
    assert labels([opened(20 * SECOND), *asks, clicked(1, 30 * SECOND)]) == [MACHINE] * 7


def test_all_links_at_once_are_a_sweep() -> None:
    found = judge(an_email(links=5), [clicked(i, 40 * SECOND + 80 * i) for i in range(5)])
    assert {verdict.label for verdict in found} == {MACHINE}
    assert found[0].reason == "fetched all 5 links within 0.3 s"


def test_three_of_many_links_at_once_are_a_sweep() -> None:
    assert labels([clicked(i, DAY + 500 * i) for i in range(3)], an_email(links=9)) == [MACHINE] * 3


def test_the_open_before_a_sweep_is_the_scanners() -> None:
    sweep = [clicked(i, 42 * SECOND + 50 * i) for i in range(5)]
    for how in ({}, {"agent": made.FIREFOX}, {"ip": made.ELSEWHERE}):
        assert labels([opened(9 * SECOND, **how), *sweep]) == [MACHINE] * 6, how


def test_whoever_opens_beside_a_sweep_with_another_address_and_agent_is_somebody_else() -> None:
    sweep = [clicked(i, 42 * SECOND + 50 * i) for i in range(5)]
    for moment in (9 * SECOND, 43 * SECOND):
        found = labels([opened(moment, ip=made.ELSEWHERE, agent=made.EDGE), *sweep])
        assert sorted(found) == [PERSON, *[MACHINE] * 5]


def test_a_scanner_that_rotates_addresses_and_agents_is_still_a_sweep() -> None:
    agents = (made.CHROME, made.EDGE, made.FIREFOX, made.CHROME_MAC)
    hits = [clicked(i, MINUTE + 300 * i, ip=f"203.0.113.{i + 1}", agent=agents[i]) for i in range(4)]
    assert labels(hits, an_email(links=4)) == [MACHINE] * 4


def test_a_slow_crawl_through_every_link_is_a_machines() -> None:
    assert labels([clicked(i, HOUR + 2000 * i) for i in range(6)], an_email(links=6)) == [MACHINE] * 6


def test_private_relay_changes_a_readers_address_at_any_time() -> None:
    hits = [clicked(i, MINUTE + 9000 * i, ip=f"172.225.20.{i + 1}", agent=made.SAFARI) for i in range(4)]
    assert labels(hits) == [PERSON] * 4


def test_one_browser_over_changing_addresses_is_a_scanner_early_and_a_telephone_late() -> None:
    for start, who in ((MINUTE, MACHINE), (HOUR, PERSON)):
        hits = [clicked(i, start + 9000 * i, ip=f"203.0.113.{i + 1}") for i in range(4)]
        assert labels(hits) == [who] * 4


def test_all_links_at_once_are_a_sweep_whatever_is_attached() -> None:
    assert labels([clicked(i, HOUR + 300 * i) for i in range(2)], an_email(links=2, attachments=2)) == [MACHINE] * 2


def test_a_vendors_click_after_the_mail_was_displayed_elsewhere_is_the_readers() -> None:
    hits = [opened(3 * MINUTE, agent=made.OUTLOOK), clicked(0, 3 * MINUTE + 20 * SECOND, ip=made.VENDOR)]
    assert labels(hits) == [PERSON, PERSON]


def test_two_recipients_clicking_the_same_link_soon_after_delivery_are_two_people() -> None:
    hits = [clicked(0, 2 * MINUTE, agent=made.CHROME_MAC), clicked(0, 2 * MINUTE + 9 * SECOND, ip=made.ELSEWHERE)]
    assert labels(hits, an_email(recipients=3)) == [PERSON, PERSON]


def test_a_sweep_does_not_make_the_readers_elsewhere_machines() -> None:
    sweep = [clicked(i, 42 * SECOND + 50 * i, ip=made.CLOUD) for i in range(5)]
    people = [opened(12 * SECOND, agent=made.OUTLOOK), opened(HOUR), clicked(3, HOUR + MINUTE)]
    assert labels([*sweep, *people]) == [MACHINE] * 5 + [PERSON] * 3


def test_a_sweeping_address_stays_a_machines() -> None:
    sweep = [clicked(i, 42 * SECOND + 50 * i) for i in range(5)]
    assert labels([*sweep, clicked(2, 5 * HOUR)]) == [MACHINE] * 6


def test_people_behind_the_scanners_address_stay_people() -> None:
    sweep = [clicked(i, 42 * SECOND + 50 * i, ip=made.OFFICE) for i in range(5)]
    people = [
        opened(HOUR, ip=made.OFFICE, agent=made.OUTLOOK),
        clicked(1, HOUR + MINUTE, ip=made.OFFICE, agent=made.EDGE),
    ]
    same_browser = clicked(1, 2 * HOUR, ip=made.OFFICE)
    assert labels([*sweep, *people, same_browser]) == [MACHINE] * 5 + [PERSON] * 3


@pytest.mark.parametrize("delay", [-300, 40, 1500])
def test_a_check_at_the_time_of_the_click_leaves_the_click_to_the_person(delay: int) -> None:
    hits = [
        opened(HOUR),
        clicked(0, HOUR + MINUTE),
        clicked(0, HOUR + MINUTE + delay, ip=made.ELSEWHERE, agent=made.EDGE),
    ]
    assert labels(hits) == [PERSON, PERSON, MACHINE]


@pytest.mark.parametrize("ip", [made.AZURE, made.CLOUD, made.VENDOR])
@pytest.mark.parametrize("delay", [-300, 200, 2000])
def test_a_check_under_the_readers_own_agent_is_known_by_its_data_centre(delay: int, ip: str) -> None:
    click = HOUR + MINUTE
    hits = [opened(HOUR, agent=made.OUTLOOK), clicked(0, click), clicked(0, click + delay, ip=ip)]
    assert labels(hits) == [PERSON, PERSON, MACHINE]


def test_software_on_the_readers_device_that_checks_a_click_leaves_the_reader_a_person() -> None:
    for start in (MINUTE, HOUR):
        click = start + 9 * SECOND
        hits = [opened(start), clicked(0, click), clicked(0, click + 300, agent=made.FIREFOX)]
        assert labels(hits) == [PERSON, PERSON, MACHINE]


def test_a_household_reads_on_two_devices() -> None:
    hits = [opened(MINUTE, agent=made.SAFARI), opened(3 * MINUTE, agent=made.CHROME_MAC)]
    assert labels([*hits, clicked(0, 4 * MINUTE, agent=made.CHROME_MAC)]) == [PERSON] * 3


def test_one_address_that_opens_as_one_browser_and_clicks_as_another_is_a_scanners() -> None:
    assert labels([opened(9 * SECOND), clicked(0, 40 * SECOND, agent=made.CHROME_MAC)]) == [MACHINE, MACHINE]


def test_a_second_click_twelve_seconds_later_from_another_system_and_network_is_a_scanners() -> None:
    hits = [clicked(0, HOUR, agent=made.CHROME_MAC), clicked(0, HOUR + 12 * SECOND, ip=made.ELSEWHERE)]
    assert labels(hits) == [PERSON, MACHINE]


def test_the_same_browser_clicking_twice_over_changing_addresses_is_one_person() -> None:
    hits = [
        clicked(0, HOUR, ip=made.RELAY, agent=made.SAFARI),
        clicked(0, HOUR + SECOND, ip="172.225.20.99", agent=made.SAFARI),
    ]
    assert labels(hits) == [PERSON, PERSON]


def test_asking_first_and_fetching_at_once_is_a_link_checkers() -> None:
    assert labels([clicked(0, MINUTE, method="HEAD"), clicked(0, MINUTE + 200)]) == [MACHINE, MACHINE]


def test_hammering_is_a_machines_but_gmails() -> None:
    assert set(labels([opened(HOUR + 100 * i) for i in range(30)])) == {MACHINE}
    assert set(labels([opened(HOUR + 100 * i, agent=made.GMAIL, ip=made.GOOGLE) for i in range(30)])) == {PERSON}


def test_a_round_of_colleagues_behind_one_address_does_not_hammer() -> None:
    crowd = [opened(MINUTE + 700 * i, ip=made.OFFICE, agent=made.OUTLOOK) for i in range(12)]
    assert set(labels(crowd, an_email(recipients=12))) == {PERSON}
    assert set(labels(crowd)) == {MACHINE}


def test_apples_privacy_proxy_fetches_for_many_at_once() -> None:
    crowd = [opened(MINUTE + 500 * i, ip=made.RELAY, agent=made.APPLE_PRIVACY) for i in range(12)]
    assert set(labels(crowd, an_email(recipients=12))) == {PROXY}


# --- the sender


def test_the_session_that_sent_the_mail_is_the_senders_at_any_time() -> None:
    email = an_email(ip=made.OFFICE)
    hits = [opened(at, ip=made.OFFICE) for at in (-400, 3 * SECOND, 3 * DAY)]
    assert labels([*hits, clicked(0, MINUTE, ip=made.OFFICE)], email) == [SENDER] * 4


def test_the_senders_updated_browser_is_still_the_senders() -> None:
    later = opened(20 * DAY, ip=made.OFFICE, agent=made.CHROME.replace("144", "145"))
    assert labels([later], an_email(ip=made.OFFICE)) == [SENDER]


def test_every_session_of_the_seller_is_the_senders() -> None:
    sessions = [source_hash(KEY, made.OFFICE, made.CHROME), source_hash(KEY, made.ELSEWHERE, made.SAFARI)]
    email = replace(an_email(), sender_source="\n".join(sessions))
    hits = [
        opened(HOUR, ip=made.OFFICE),
        opened(HOUR, ip=made.ELSEWHERE, agent=made.SAFARI),
        opened(HOUR, ip=made.ELSEWHERE),
    ]
    assert labels(hits, email) == [SENDER, SENDER, PERSON]


def test_somebody_else_in_the_senders_office_is_a_person() -> None:
    hits = [opened(HOUR, ip=made.OFFICE, agent=made.OUTLOOK), opened(HOUR, ip=made.OFFICE, agent=made.FIREFOX)]
    assert labels(hits, an_email(ip=made.OFFICE)) == [PERSON, PERSON]


def test_the_senders_own_gateway_is_a_machine() -> None:
    hits = [clicked(i, 20 * i - 100, ip=made.OFFICE, agent=made.FIREFOX) for i in range(5)]
    assert labels(hits, an_email(ip=made.OFFICE)) == [MACHINE] * 5


def test_the_sender_who_tried_all_links_at_once_is_the_sender_an_hour_later() -> None:
    sweep = [clicked(i, 20 * SECOND + 30 * i, ip=made.OFFICE) for i in range(5)]
    assert labels([*sweep, opened(HOUR, ip=made.OFFICE)], an_email(ip=made.OFFICE)) == [MACHINE] * 5 + [SENDER]


def test_the_sender_looking_while_a_scanner_sweeps_is_the_sender() -> None:
    sweep = [clicked(i, 30 * SECOND + 50 * i, ip=made.ELSEWHERE, agent=made.EDGE) for i in range(5)]
    assert labels([opened(20 * SECOND, ip=made.OFFICE), *sweep], an_email(ip=made.OFFICE))[0] is SENDER


# --- how sure, and why


@pytest.mark.parametrize("agent", [made.CHROME, made.OUTLOOK, made.YAHOO, made.IOS_MAIL])
def test_a_usual_clients_open_is_settled_at_once(agent: str) -> None:
    assert judge(an_email(), [opened(10 * SECOND, agent=agent)])[0].settled


@pytest.mark.parametrize(
    "how",
    [
        {"without": ("accept-language",)},
        {"ip": made.AZURE},
        {"agent": made.CHROME_101.replace("101", "126")},
        {"agent": "Dalvik/2.1.0 (Linux; U; Android 9; SM-A530F Build/PPR1.180610.011)"},
    ],
)
def test_an_open_with_something_against_it_is_not_settled(how: dict[str, object]) -> None:
    found = judge(an_email(), [opened(10 * SECOND, **how)])[0]
    assert (found.label, found.settled) == (PERSON, False)


def test_gmails_proxy_is_settled_once_a_minute_has_passed() -> None:
    found = judge(an_email(), [opened(at, agent=made.GMAIL, ip=made.GOOGLE) for at in (10 * SECOND, 2 * MINUTE)])
    assert [(verdict.label, verdict.settled) for verdict in found] == [(PERSON, False), (PERSON, True)]


def test_every_reason_is_a_short_line_for_a_seller() -> None:
    hits = [opened(HOUR), clicked(0, HOUR), *(clicked(i, MINUTE + i, ip=made.CLOUD) for i in range(5))]
    for verdict in judge(an_email(), hits):
        assert 5 < len(verdict.reason) < 140
        assert "\n" not in verdict.reason


# --- what is kept

addresses = st.ip_addresses().map(str) | st.just("")
agents = st.sampled_from(
    [made.CHROME, made.OUTLOOK, made.GMAIL, made.APPLE_PRIVACY, made.SAFARI, "", "curl/8"]
) | st.text(max_size=80)
hits = st.builds(
    Hit,
    id=st.integers(0, 10**9).map(lambda n: f"{1:016x}-{n:012d}"),
    kind=st.sampled_from(Kind),
    item=st.integers(0, 6),
    at=st.integers(made.SENT - SECOND, made.SENT + DAY),
    method=st.sampled_from(["GET", "GET", "HEAD"]),
    address=addresses,
    headers=st.fixed_dictionaries(
        {}, optional={"user-agent": agents, "accept": st.text(max_size=9), "accept-language": st.just("en")}
    ),
    query=st.sampled_from(["", "a=b"]),
)


@given(hits)
def test_an_observation_survives_being_stored(made_hit: Hit) -> None:
    observation = observe(made_hit, KEY)
    assert load(dump(observation)) == observation


@given(st.lists(hits, max_size=12, unique_by=lambda one: one.id), st.randoms(use_true_random=False))
def test_the_order_of_the_hits_does_not_matter(some: list[Hit], shuffle: random.Random) -> None:
    observations = [observe(one, KEY) for one in some]
    verdicts = dict(zip([o.id for o in observations], judge(an_email(), observations), strict=True))
    shuffle.shuffle(observations)
    assert dict(zip([o.id for o in observations], judge(an_email(), observations), strict=True)) == verdicts


@given(hits)
def test_neither_address_nor_agent_can_be_read_from_an_observation(made_hit: Hit) -> None:
    kept = dump(observe(made_hit, KEY))
    address, agent = made_hit.address, made_hit.headers.get("user-agent", "")
    assert len(address) < 4 or address not in kept
    assert len(agent) < 12 or json.dumps(agent, ensure_ascii=False)[1:-1] not in kept


def test_another_key_hides_the_same_source() -> None:
    one, other = (observe(hit(Kind.OPEN, 0), key) for key in (KEY, b"another"))
    assert not {one.source, one.network, one.agent} & {other.source, other.network, other.agent}


def test_an_unknown_version_of_an_observation_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        load('[99,"id"]')


def test_an_observation_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="fields"):
        load('[1,"id",0]')


def test_a_sender_without_an_address_is_unknown() -> None:
    assert source_hash(KEY, "", made.CHROME) == ""


def test_twenty_thousand_hits_are_judged_in_a_moment() -> None:
    r = random.Random(5)
    many = [
        seen(r.choice(list(Kind)), r.randrange(HOUR), item=r.randrange(5), ip=f"192.0.2.{r.randrange(256)}")
        for _ in range(20_000)
    ]
    start = time.process_time()
    assert len(judge(an_email(), many)) == 20_000
    assert time.process_time() - start < 10


@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 60), st.integers(0, 20))
def test_how_far_a_hit_is_from_a_machines_is_found_without_a_look_at_each_of_them(moments, at, span):
    hits = [opened(moment) for moment in sorted(moments)]
    far = _is_far(hits, range(len(hits)), made.SENT + at, span)
    assert far == all(abs(moment - at) > span for moment in moments)
