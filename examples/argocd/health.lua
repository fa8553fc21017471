-- Health of every kind of group plumbline.dev, for Argo CD: `resource.customizations.health.plumbline.dev_*` in argocd-cm.
local hs = { status = "Progressing", message = "Waiting for Plumbline" }
if obj.spec ~= nil and obj.spec.suspend == true then
  return { status = "Suspended", message = "Synchronisation is suspended" }
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
for _, c in ipairs(obj.status.conditions) do
  if c.type == "Stalled" and c.status == "True" then
    return { status = "Degraded", message = c.message }
  end
end
if obj.metadata.generation ~= nil and obj.status.observedGeneration ~= obj.metadata.generation then
  return hs
end
for _, c in ipairs(obj.status.conditions) do
  if c.type == "Ready" then
    if c.status == "True" then
      return { status = "Healthy", message = c.message }
    end
    if c.reason == "Held" then
      return { status = "Suspended", message = c.message }
    end
    if c.status == "False" then
      return { status = "Degraded", message = c.message }
    end
    return { status = "Progressing", message = c.message }
  end
end
return hs
