//! Plan, trials, judgement, comparison: the main job; writes the result.
