"""What is written for other programs: JSON, CSV, Markdown, Parquet and the files of 2017."""
