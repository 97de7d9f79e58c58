-- Which tenants' keys, connections and policies have changed: every node remembers them for a while, and
-- looks here whether what it remembers still holds. The number grows by one with each change, in the
-- order in which they are committed.
create table generation (
    id smallint not null,
    value bigint not null,
    constraint generation_pkey primary key (id),
    constraint generation_id_check check (id = 1)
);

insert into generation (id, value) values (1, 0);

create table tenant_changes (
    generation bigint not null,
    tenant_id uuid not null,
    constraint tenant_changes_pkey primary key (generation)
);

-- Triggers, so that nothing is missed: neither what the version before this one writes, nor what
-- somebody changes by hand. Deferred to the commit: whoever has the counter waits for nobody.
create function note_tenant_change() returns trigger language plpgsql
security definer set search_path from current as $$
declare
    tenant uuid := case when tg_op = 'DELETE' then old.tenant_id else new.tenant_id end;
    number bigint;
begin
    -- Once for each transaction, however many rows it has changed.
    if current_setting('onerouter.changed', true) = tenant::text then
        return null;
    end if;
    update generation set value = value + 1 where id = 1 returning value into number;
    insert into tenant_changes (generation, tenant_id) values (number, tenant);
    perform set_config('onerouter.changed', tenant::text, true);
    return null;
end
$$;

-- Not when a key was merely used.
create constraint trigger note_change
    after insert or delete
        or update of name, scopes, rate_per_second, rate_burst, expires_at, revoked_at, allowed_ips
    on api_keys deferrable initially deferred for each row execute function note_tenant_change();

create constraint trigger note_change after insert or update or delete on connections
    deferrable initially deferred for each row execute function note_tenant_change();

create constraint trigger note_change after insert or update or delete on routing_policies
    deferrable initially deferred for each row execute function note_tenant_change();
