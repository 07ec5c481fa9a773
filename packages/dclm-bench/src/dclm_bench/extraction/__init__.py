"""From crawl files to text: WARC and WET records, encodings, main content, folders of pages."""
