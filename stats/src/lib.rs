//! Statistics on measured figures: percentile intervals, steady state, paired comparisons.
