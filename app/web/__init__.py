"""What all pages and APIs share: middleware, errors, languages, templates, routing."""
