-- One row to each request; RATE, where it is given, is the requests a second of all connections.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("BODY")

local connections = tonumber(os.getenv("CONNECTIONS"))
local rate = tonumber(os.getenv("RATE") or "0")

if rate > 0 then
  -- Exponential pauses, so that requests of different connections fall together as callers' do.
  function delay()
    return math.floor(-math.log(1 - math.random()) * 1000 * connections / rate)
  end
end

done = function(summary, latency, requests)
  io.write(string.format(
    'JSON {"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.status + summary.errors.timeout))
end
