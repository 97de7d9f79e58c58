-- What providers have told of their own accord, kept before anything is made of it.

create table received_webhooks (
    tenant_id blob not null,
    id blob not null,
    environment text not null,
    connection_id blob not null,
    provider text not null,
    -- Headers, query and body as they came, encrypted with the tenant's data key.
    request blob not null,
    -- `accepted` until it was read; then what came of it.
    verdict text not null,
    event_type text,
    received_at text not null,
    handled_at text,
    constraint received_webhooks_pkey primary key (tenant_id, id),
    constraint received_webhooks_environment_check check (environment in ('test', 'live')),
    constraint received_webhooks_verdict_check
        check (verdict in ('accepted', 'handled', 'repeated', 'refused', 'given_up')),
    constraint received_webhooks_handled_check check ((verdict = 'accepted') = (handled_at is null))
) strict;

-- By what a webhook is known again: the id that its signature covers, its content, the provider's id of
-- the event.
create table webhook_keys (
    tenant_id blob not null,
    connection_id blob not null,
    key text not null,
    webhook_id blob not null,
    created_at text not null,
    constraint webhook_keys_pkey primary key (tenant_id, connection_id, key),
    constraint webhook_keys_key_check check (length(key) between 1 and 300)
) strict, without rowid;

create index webhook_keys_created_at_idx on webhook_keys (tenant_id, created_at);
