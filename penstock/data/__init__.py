"""Records on disk and in Arrow: TFRecord, tf.Example, Parquet, CSV, splits and spans."""
