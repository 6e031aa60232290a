"""What the store holds about a job's rows, read back beside the source: summed, paired, row by row, or as a table."""
