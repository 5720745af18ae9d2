-- Requests that are not all the same, as BENCH_REQUESTS names them. A segment goes before the path that wrk was given, which
-- is still what the origin answers with.

local folders = {}
local kind = os.getenv("BENCH_REQUESTS")
if kind == "alternate" then
  folders = { "/a", "/b" }
else
  for number = 1, 50 do folders[number] = "/page-" .. number end
end

-- What Chrome sends, with a cookie like those of a site with a session and statistics.
local browser = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  ["Accept-Language"] = "en-US,en;q=0.9,de;q=0.8",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Cookie"] = "session=" .. ("0123456789abcdef"):rep(4) .. "; _ga=GA1.1.1234567890.1700000000; "
    .. "_ga_ABCDEF1234=GS1.1.1700000000.3.1.1700000123.0.0.0; consent=analytics; theme=dark",
  ["Sec-Fetch-Dest"] = "document",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Referer"] = "https://www.example.com/shop/category/list",
}

local requests = {}
local last = 0

-- Made once for each thread: what it costs to ask for one must not be what is measured.
function init()
  if kind == "three" then
    local last_one = { ["Connection"] = "close" }
    for name, value in pairs(wrk.headers) do last_one[name] = value end
    requests = { wrk.format(), wrk.format(), wrk.format(nil, nil, last_one) }
    return
  end
  if kind == "browser" then
    for name, value in pairs(browser) do wrk.headers[name] = value end
  end
  for number, folder in ipairs(folders) do requests[number] = wrk.format(nil, folder .. wrk.path) end
end

function request()
  last = last % #requests + 1
  return requests[last]
end
