module spottraining.dev/benchmarks/sink

go 1.26
