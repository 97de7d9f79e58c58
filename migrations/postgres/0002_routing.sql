-- Which connection serves a category: one policy per tenant, environment and category.

create table routing_policies (
    tenant_id uuid not null,
    environment text not null,
    category text not null,
    policy text not null,
    version bigint not null,
    updated_at timestamptz not null,
    constraint routing_policies_pkey primary key (tenant_id, environment, category),
    constraint routing_policies_tenant_id_fkey foreign key (tenant_id) references tenants (id),
    constraint routing_policies_environment_check check (environment in ('test', 'live')),
    constraint routing_policies_version_check check (version > 0)
);

-- Attempts of one object may go over several connections. Null: over the object's own, as all did
-- before this column. `routing` keeps why this connection was chosen; null where there was no choice.

alter table attempts add column connection_id uuid;

alter table attempts add column routing text;
