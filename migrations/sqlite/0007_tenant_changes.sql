-- Which tenants' keys, connections and policies have changed: every process remembers them for a while,
-- and looks here whether what it remembers still holds. The number grows by one with each change, in the
-- order in which they are committed.
create table generation (
    id integer not null check (id = 1),
    value integer not null,
    constraint generation_pkey primary key (id)
) strict;

insert into generation (id, value) values (1, 0);

create table tenant_changes (
    generation integer not null,
    tenant_id blob not null,
    constraint tenant_changes_pkey primary key (generation)
) strict;

-- Triggers, so that nothing is missed, also of what somebody changes by hand. A later migration that
-- makes one of these tables anew makes its triggers anew too.
create trigger note_new_key after insert on api_keys
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, new.tenant_id from generation where id = 1;
end;

-- Not when a key was merely used.
create trigger note_changed_key
after update of name, scopes, rate_per_second, rate_burst, expires_at, revoked_at, allowed_ips on api_keys
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, new.tenant_id from generation where id = 1;
end;

create trigger note_gone_key after delete on api_keys
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, old.tenant_id from generation where id = 1;
end;

create trigger note_new_connection after insert on connections
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, new.tenant_id from generation where id = 1;
end;

create trigger note_changed_connection after update on connections
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, new.tenant_id from generation where id = 1;
end;

create trigger note_gone_connection after delete on connections
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, old.tenant_id from generation where id = 1;
end;

create trigger note_new_policy after insert on routing_policies
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, new.tenant_id from generation where id = 1;
end;

create trigger note_changed_policy after update on routing_policies
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, new.tenant_id from generation where id = 1;
end;

create trigger note_gone_policy after delete on routing_policies
begin
    update generation set value = value + 1 where id = 1;
    insert into tenant_changes (generation, tenant_id)
    select value, old.tenant_id from generation where id = 1;
end;
