-- Where tenants want to hear of events, what has to be told to whom, and how that went.

create table webhook_endpoints (
    tenant_id uuid not null,
    id uuid not null,
    environment text not null,
    url text not null,
    description text,
    -- `payment.succeeded`, or `payment.*`; null for all.
    event_types jsonb,
    -- Signing secrets and headers, encrypted with the tenant's data key.
    secrets bytea not null,
    -- Of one object's events the next is sent when the one before has been taken.
    is_ordered boolean not null,
    rate_per_second bigint,
    -- Why nothing is sent any more; null while it is.
    disabled_reason text,
    disabled_at timestamptz,
    -- Since when nothing has been taken.
    failing_since timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint webhook_endpoints_pkey primary key (tenant_id, id),
    constraint webhook_endpoints_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint webhook_endpoints_environment_check check (environment in ('test', 'live')),
    constraint webhook_endpoints_event_types_check
        check (event_types is null or jsonb_typeof(event_types) = 'array'),
    constraint webhook_endpoints_rate_check check (rate_per_second > 0),
    constraint webhook_endpoints_disabled_check
        check ((disabled_reason is null) = (disabled_at is null))
);

create index webhook_endpoints_enabled_idx on webhook_endpoints (tenant_id, environment)
    where disabled_at is null;

-- Written with the event, in the transaction that changes the object: one row for each endpoint that wants
-- to hear of it. The ids begin with the event's time.
create table webhook_deliveries (
    tenant_id uuid not null,
    id uuid not null,
    endpoint_id uuid not null,
    event_id uuid not null,
    object_id uuid not null,
    -- The object's version; greater ones are later.
    sequence bigint not null,
    state text not null,
    attempts bigint not null,
    next_at timestamptz,
    last_status bigint,
    created_at timestamptz not null,
    ended_at timestamptz,
    constraint webhook_deliveries_pkey primary key (tenant_id, id),
    constraint webhook_deliveries_state_check
        check (state in ('pending', 'succeeded', 'failed', 'canceled')),
    constraint webhook_deliveries_ended_check check ((state = 'pending') = (ended_at is null))
) partition by range (id);

create index webhook_deliveries_endpoint_idx on webhook_deliveries (tenant_id, endpoint_id, id);
create index webhook_deliveries_event_idx on webhook_deliveries (tenant_id, event_id);
create index webhook_deliveries_open_idx
    on webhook_deliveries (tenant_id, endpoint_id, object_id, sequence) where state = 'pending';

-- Every try.
create table webhook_attempts (
    tenant_id uuid not null,
    id uuid not null,
    delivery_id uuid not null,
    number bigint not null,
    -- What was answered, or why nothing was.
    status bigint,
    error text,
    duration_us bigint not null,
    -- The first 4 KiB of the answer.
    response text,
    created_at timestamptz not null,
    constraint webhook_attempts_pkey primary key (tenant_id, id)
) partition by range (id);

create index webhook_attempts_delivery_idx on webhook_attempts (tenant_id, delivery_id, id);

-- Which deliveries are due when, by endpoint: it is read before a tenant is known, and holds nothing else.
-- Whoever takes one moves `at` to when another node may have it.
create table delivery_queue (
    delivery_id uuid not null,
    endpoint_id uuid not null,
    tenant_id uuid not null,
    at timestamptz not null,
    -- Nobody has it: an earlier one about the same object has not ended, and wakes it.
    is_waiting boolean not null default false,
    constraint delivery_queue_pkey primary key (delivery_id)
);

create index delivery_queue_at_idx on delivery_queue (endpoint_id, at);

-- Which tables are kept by month.
create function logs_by_month() returns text[] language sql immutable as $$
    select array['events', 'call_logs', 'webhook_deliveries', 'webhook_attempts']
$$;

do $$
declare
    name text;
begin
    foreach name in array array['webhook_deliveries', 'webhook_attempts'] loop
        execute format('create table %I partition of %I default', name || '_default', name);
        execute format('alter table %I enable row level security', name || '_default');
        execute format('alter table %I force row level security', name || '_default');
    end loop;
    foreach name in array array['webhook_endpoints', 'webhook_deliveries', 'webhook_attempts'] loop
        execute format('alter table %I enable row level security', name);
        execute format('alter table %I force row level security', name);
        execute format(
            'create policy tenant on %I
             using (tenant_id = nullif(current_setting(''onerouter.tenant'', true), '''')::uuid)',
            name
        );
    end loop;
    -- What makes and drops partitions asks for the list from here on.
    execute replace(
        pg_get_functiondef('make_partitions(timestamptz)'::regprocedure),
        'array[''events'', ''call_logs'']', 'logs_by_month()'
    );
    execute replace(
        pg_get_functiondef('drop_partitions(text, timestamptz)'::regprocedure),
        'parent not in (''events'', ''call_logs'')', 'parent <> all (logs_by_month())'
    );
end
$$;

select make_partitions(now() + interval '3 months');
