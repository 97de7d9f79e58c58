-- The generic cell rate algorithm, in one step that nothing comes between.
-- KEYS[1]: whose requests; kept is the moment at which all of them would have been earned
-- ARGV[1]: requests per second; ARGV[2]: requests at once
-- Answers {1, requests left} or {0, microseconds to wait}. Times are microseconds by the server's own
-- clock: the nodes' may differ.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local each = 1000000 / ARGV[1]
local most = each * ARGV[2]
-- No more than a whole burst is ever owed, also where the clock was set back.
local owed = math.min(tonumber(redis.call('GET', KEYS[1]) or now), now + most)
local earned = math.max(owed, now) + each
local over = earned - now - most
-- Half a microsecond is less than the clock can tell.
if over > 0.5 then
    return {0, math.ceil(over)}
end
redis.call('SET', KEYS[1], string.format('%.3f', earned), 'PX', math.ceil((earned - now) / 1000))
return {1, math.floor((now + most - earned) / each + 0.001)}
