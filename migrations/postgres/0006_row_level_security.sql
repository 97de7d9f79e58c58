-- Every table of tenants' data shows the rows of one tenant: the one that the transaction names.
-- `force`: also to the owner, who is the service where a small house has one role only. Without a
-- tenant there are no rows, and whatever names another tenant is refused.
--
-- The directories (key_directory, connection_directory, checkout_directory, due_work) stay open: they
-- answer whose something is before a tenant is known, and hold nothing else.
--
-- A later migration that changes rows of these tables switches `force` off first, and on again.

do $$
declare
    name text;
begin
    foreach name in array array[
        'api_keys', 'connections', 'data_keys', 'objects', 'object_contents', 'object_metadata', 'attempts',
        'attempt_objects', 'idempotency_keys', 'events', 'call_logs', 'routing_policies',
        'provider_refs', 'refund_amounts'
    ] loop
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

alter table tenants enable row level security;
alter table tenants force row level security;

create policy tenant on tenants
    using (id = nullif(current_setting('onerouter.tenant', true), '')::uuid);

-- Operators list them all.
create policy operator on tenants for select
    using (current_setting('onerouter.operator', true) = 'on');
