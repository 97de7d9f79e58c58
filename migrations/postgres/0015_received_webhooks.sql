-- What providers have told of their own accord, kept before anything is made of it.

create table received_webhooks (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    connection_id uuid not null,
    provider text not null,
    -- Headers, query and body as they came, encrypted with the tenant's data key.
    request bytea not null,
    -- `accepted` until it was read; then what came of it.
    verdict text not null,
    event_type text,
    received_at timestamptz not null,
    handled_at timestamptz,
    constraint received_webhooks_pkey primary key (tenant_id, id),
    constraint received_webhooks_environment_check check (environment in ('test', 'live')),
    constraint received_webhooks_verdict_check
        check (verdict in ('accepted', 'handled', 'repeated', 'refused', 'given_up')),
    constraint received_webhooks_handled_check check ((verdict = 'accepted') = (handled_at is null))
) partition by range (id);

-- By what a webhook is known again: the id that its signature covers, its content, the provider's id of
-- the event. Not partitioned, so that each holds once for the connection.
create table webhook_keys (
    tenant_id uuid not null,
    connection_id uuid not null,
    key text not null,
    webhook_id uuid not null,
    created_at timestamptz not null,
    constraint webhook_keys_pkey primary key (tenant_id, connection_id, key),
    constraint webhook_keys_key_check check (length(key) between 1 and 300)
);

create index webhook_keys_created_at_idx on webhook_keys (tenant_id, created_at);

create or replace function logs_by_month() returns text[] language sql immutable as $$
    select array['events', 'call_logs', 'webhook_deliveries', 'webhook_attempts', 'received_webhooks']
$$;

do $$
declare
    name text;
begin
    create table received_webhooks_default partition of received_webhooks default;
    alter table received_webhooks_default enable row level security;
    alter table received_webhooks_default force row level security;
    foreach name in array array['received_webhooks', 'webhook_keys'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy tenant on %I
             using (tenant_id = nullif(current_setting(''onerouter.tenant'', true), '''')::uuid)',
            name
        );
    end loop;
end
$$;

select make_partitions(now() + interval '3 months');
