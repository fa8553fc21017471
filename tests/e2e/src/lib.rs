//! Scenarios against real servers; everything is in `tests/`.
