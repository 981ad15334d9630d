-- Sends prepared lookups in turn, each line of the file being "authorization <tab> body", and ends
-- with one line of JSON. `request` is called once a request, so it only joins what is ready.

local authorizations, bodies, position = {}, {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local authorization, body = line:match("^([^\t]+)\t(.+)$")
    authorizations[#authorizations + 1] = authorization
    bodies[#bodies + 1] = body
  end
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  position = position % #bodies + 1
  wrk.headers["Authorization"] = authorizations[position]
  return wrk.format("POST", nil, nil, bodies[position])
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "failed": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
