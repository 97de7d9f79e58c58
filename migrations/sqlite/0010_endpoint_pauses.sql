-- Until when nothing is sent to an endpoint, as one of its answers has asked.
alter table webhook_endpoints add column paused_until text;
