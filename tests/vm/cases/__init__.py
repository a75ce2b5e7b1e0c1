"""One module a theme; each has CASES, a list of lab.case.Case."""
