-- Makes wrk say at its end, in one line of JSON, what the bench needs: percentiles and every kind of error too.
-- BENCH_ADDRESSES lists addresses ("host:port host:port ...") that wrk's threads share out among themselves.
-- BENCH_REQUESTS names what requests.lua makes, if not all of them are the same.

if (os.getenv("BENCH_REQUESTS") or "") ~= "" then
  dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "requests.lua")
end

local addresses = {}
for address in (os.getenv("BENCH_ADDRESSES") or ""):gmatch("%S+") do
  addresses[#addresses + 1] = address
end

local threads = 0

function setup(thread)
  if #addresses == 0 then return end
  local host, port = addresses[threads % #addresses + 1]:match("^(.*):(%d+)$")
  thread.addr = wrk.lookup(host, port)[1]
  threads = threads + 1
end

function done(summary, latency)
  local errors = summary.errors
  local line = '{"micros":%.0f,"requests":%.0f,"bytes":%.0f,"p50":%.0f,"p99":%.0f,"cpuSeconds":%.3f,'
    .. '"errors":{"connect":%.0f,"read":%.0f,"write":%.0f,"status":%.0f,"timeout":%.0f}}\n'
  -- The clock of the process counts all its threads.
  io.write(line:format(summary.duration, summary.requests, summary.bytes, latency:percentile(50),
    latency:percentile(99), os.clock(), errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
