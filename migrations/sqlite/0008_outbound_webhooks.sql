-- Where tenants want to hear of events, what has to be told to whom, and how that went.

create table webhook_endpoints (
    tenant_id blob not null,
    id blob not null,
    environment text not null,
    url text not null,
    description text,
    -- `payment.succeeded`, or `payment.*`; null for all.
    event_types text,
    -- Signing secrets and headers, encrypted with the tenant's data key.
    secrets blob not null,
    -- Of one object's events the next is sent when the one before has been taken.
    is_ordered integer not null,
    rate_per_second integer,
    -- Why nothing is sent any more; null while it is.
    disabled_reason text,
    disabled_at text,
    -- Since when nothing has been taken.
    failing_since text,
    created_at text not null,
    updated_at text not null,
    constraint webhook_endpoints_pkey primary key (tenant_id, id),
    constraint webhook_endpoints_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint webhook_endpoints_environment_check check (environment in ('test', 'live')),
    constraint webhook_endpoints_event_types_check
        check (event_types is null or json_type(event_types) = 'array'),
    constraint webhook_endpoints_ordered_check check (is_ordered in (0, 1)),
    constraint webhook_endpoints_rate_check check (rate_per_second > 0),
    constraint webhook_endpoints_disabled_check
        check ((disabled_reason is null) = (disabled_at is null))
) strict, without rowid;

create index webhook_endpoints_enabled_idx on webhook_endpoints (tenant_id, environment)
    where disabled_at is null;

-- Written with the event, in the transaction that changes the object: one row for each endpoint that wants
-- to hear of it. The ids begin with the event's time.
create table webhook_deliveries (
    tenant_id blob not null,
    id blob not null,
    endpoint_id blob not null,
    event_id blob not null,
    object_id blob not null,
    -- The object's version; greater ones are later.
    sequence integer not null,
    state text not null,
    attempts integer not null,
    next_at text,
    last_status integer,
    created_at text not null,
    ended_at text,
    constraint webhook_deliveries_pkey primary key (tenant_id, id),
    constraint webhook_deliveries_state_check
        check (state in ('pending', 'succeeded', 'failed', 'canceled')),
    constraint webhook_deliveries_ended_check check ((state = 'pending') = (ended_at is null))
) strict, without rowid;

create index webhook_deliveries_endpoint_idx on webhook_deliveries (tenant_id, endpoint_id, id);
create index webhook_deliveries_event_idx on webhook_deliveries (tenant_id, event_id);
create index webhook_deliveries_open_idx
    on webhook_deliveries (tenant_id, endpoint_id, object_id, sequence) where state = 'pending';

-- Every try.
create table webhook_attempts (
    tenant_id blob not null,
    id blob not null,
    delivery_id blob not null,
    number integer not null,
    -- What was answered, or why nothing was.
    status integer,
    error text,
    duration_us integer not null,
    -- The first 4 KiB of the answer.
    response text,
    created_at text not null,
    constraint webhook_attempts_pkey primary key (tenant_id, id)
) strict, without rowid;

create index webhook_attempts_delivery_idx on webhook_attempts (tenant_id, delivery_id, id);

-- Which deliveries are due when, by endpoint: it is read before a tenant is known, and holds nothing else.
-- Whoever takes one moves `at` to when another node may have it.
create table delivery_queue (
    delivery_id blob not null,
    endpoint_id blob not null,
    tenant_id blob not null,
    at text not null,
    -- Nobody has it: an earlier one about the same object has not ended, and wakes it.
    is_waiting integer not null default 0,
    constraint delivery_queue_pkey primary key (delivery_id)
) strict, without rowid;

create index delivery_queue_at_idx on delivery_queue (endpoint_id, at);
