"""What the suite reads in the output of its steps: how much passed, failed, was skipped. Checked by `python3 -m unittest suite_counts`."""
import json, re, unittest


def cargo_counts(text):
    found = {"passed": 0, "failed": 0, "skipped": 0}
    for m in re.finditer(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", text):
        found["passed"] += int(m[1])
        found["failed"] += int(m[2])
        found["skipped"] += int(m[3])
    # A test that lacks its data, root or a program says so in its output (--show-output) and ends: skipped, not passed.
    outputs = re.split(r"^---- .+ stdout ----$", text, flags=re.M)[1:]
    silent = sum(1 for output in outputs if re.search(r"^skipped: ", output, re.M))
    found["passed"] -= silent
    found["skipped"] += silent
    return found if any(found.values()) else {}


def vitest_counts(text):
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    m = re.search(r"^\s*Tests\s+(\d.*)$", text, re.M)
    if not m:
        return {}
    found = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|todo)", m[1])}
    skipped = found.get("skipped", 0) + found.get("todo", 0)
    return {"passed": found.get("passed", 0), "failed": found.get("failed", 0), "skipped": skipped}


def tool_counts(known):
    def parse(text):
        m = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", text, re.M)
        if not m:
            return {}
        passed, failed, skipped = (int(number or 0) for number in m[-1])
        return {"passed": passed, "failed": failed, "skipped": skipped, "known": known}
    return parse


def unfit_cases(fixtures, form):
    """How many recorded cases are for the other form of the store: which routes and keys there are depends on it."""
    files = [fixtures / f"{name}.jsonl" for name in ("write", "query", "routes", "auth", "checkpoints")]
    recorded = [json.loads(line) for file in files if file.is_file() for line in file.read_text().splitlines()]
    return sum(1 for case in recorded if form not in case.get("forms", [form]))


def store_counts(known, unfit):
    """The tool's skips, without those cases that are for the other form: these run there, and are no gap here."""
    def parse(text):
        found = tool_counts(known)(text)
        if found:
            found["unfit"] = min(unfit, found["skipped"])
            found["skipped"] -= found["unfit"]
        return found
    return parse


def browser_counts(text):
    m = re.findall(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", text, re.M)
    return {"passed": int(m[-1][0]), "failed": int(m[-1][1]), "skipped": int(m[-1][2] or 0)} if m else {}


def verdict(found, status, no_skip):
    """The counts of a step, at least one, and why it failed (empty: it did not)."""
    why = []
    if status != 0:
        why.append(f"exit {status}")
    if no_skip and found.get("skipped"):
        why.append(f"{found['skipped']} skipped")
    if not found:
        return {"failed" if why else "passed": 1}, ", ".join(why)
    if why and not found.get("failed"):
        found = {**found, "failed": 1}
    return found, ", ".join(why)


class Counts(unittest.TestCase):
    def test_a_test_that_says_skipped_is_not_passed(self):
        text = """
running 3 tests
test a ... ok

successes:

---- a stdout ----
skipped: needs root
skipped: needs root
---- b stdout ----
nothing skipped: here
---- c stdout ----
told: 4
skipped: c: no shared data (set CC_SHARED)

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
        self.assertEqual(cargo_counts(text), {"passed": 1, "failed": 0, "skipped": 3})
        self.assertEqual(cargo_counts("error: could not compile"), {})

    def test_vitest_tells_what_it_left_out(self):
        for line, passed, failed, skipped in (("3 passed (3)", 3, 0, 0), ("1 failed | 2 passed (3)", 2, 1, 0),
                                              ("1 failed | 82 passed | 3 skipped (86)", 82, 1, 3), ("4 skipped (4)", 0, 0, 4)):
            text = f"\x1b[2m Test Files \x1b[22m 1 passed (1)\n\x1b[2m      Tests \x1b[22m {line}\n"
            self.assertEqual(vitest_counts(text), {"passed": passed, "failed": failed, "skipped": skipped})

    def test_the_last_line_of_a_tool_counts(self):
        text = "SKIPPED cli/a: no --binary\n9 passed, 0 failed, 1 skipped (4 steps, 0 not as expected, 1 s)\n"
        self.assertEqual(tool_counts(7)(text), {"passed": 9, "failed": 0, "skipped": 1, "known": 7})
        self.assertEqual(tool_counts(7)("9 passed, 0 failed (7 known failures)")["skipped"], 0)

    def test_cases_of_the_other_form_are_no_gap_and_all_others_are(self):
        found = store_counts(0, 36)("9 passed, 0 failed, 40 skipped")
        self.assertEqual((found["skipped"], found["unfit"]), (4, 36))

    def test_a_skip_is_red_where_none_may_be(self):
        some = {"passed": 3, "failed": 0, "skipped": 1}
        self.assertEqual(verdict(some, 0, False), (some, ""))
        self.assertEqual(verdict(some, 0, True), ({**some, "failed": 1}, "1 skipped"))
        self.assertEqual(verdict({"passed": 3, "failed": 0, "skipped": 0, "unfit": 36}, 0, True)[1], "")
        self.assertEqual(verdict({}, 0, True), ({"passed": 1}, ""))
        self.assertEqual(verdict({}, 2, False), ({"failed": 1}, "exit 2"))
