//! The engine: reads tables in parallel, filters and transforms rows, and encodes them.
