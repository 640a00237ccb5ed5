"""Call statistics: counts, durations, clients and outcomes of each tool. Rows are per hour, not per call."""
