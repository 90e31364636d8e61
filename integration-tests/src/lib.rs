//! Black-box suites over the real binaries, real servers and a real browser.
