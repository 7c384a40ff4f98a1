"""The Evaluator's engine for models of any framework: metrics of Arrow tables, without TFMA."""
