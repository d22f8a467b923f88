"""Manifests with every field of ours set, so that each can be changed alone."""

from typing import Any, Final

from spot_operator.api import names

Json = dict[str, Any]

NAMESPACE: Final = "research"


def a_container(name: str, **more: Any) -> Json:
    """A container with a field of each kind that a rule looks at."""
    return {
        "name": name,
        "image": "example.com/digits:1",
        "env": [{"name": "EPOCHS", "value": "90"}],
        "envFrom": [{"prefix": "DATA_", "configMapRef": {"name": "data"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "ports": [{"name": "metrics", "containerPort": 9000}],
        **more,
    }


def a_pod_template() -> Json:
    """Three containers, of which one trains; a volume, labels and node affinity."""
    return {
        "metadata": {"labels": {"team": "vision"}, "annotations": {"example.com/note": "hi"}},
        "spec": {
            "initContainers": [a_container("fetch")],
            "containers": [
                a_container("trainer", resources={"limits": {"nvidia.com/gpu": 1}}),
                a_container("exporter"),
            ],
            "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}
                        ]
                    }
                }
            },
        },
    }


def a_full_job() -> Json:
    """A SpotTrainingJob with every field set."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.JOB_KIND,
        "metadata": {"name": "digits", "namespace": NAMESPACE},
        "spec": {
            "suspend": False,
            "template": a_pod_template(),
            "checkpoint": {
                "store": {
                    "s3": {
                        "bucket": "checkpoints",
                        "prefix": "teams/vision",
                        "endpointURL": "https://minio.storage.svc:9000",
                        "region": "eu-central-1",
                        "credentialsSecretName": "store-keys",
                        "addressing": "Path",
                    }
                },
                "interval": "5m",
                "keep": {"newest": 4, "milestoneEvery": "6h"},
                "onNoneValid": "Fail",
                "resumeFrom": {
                    "namespace": "vision",
                    "name": "digits-2025",
                    "uid": "1b4e28ba-2fa1-41d2-883f-0016d3cca427",
                    "checkpoint": "a00000002-s000000001200-0123abcd",
                },
                "deletionPolicy": "Retain",
                "staging": {"sizeLimit": "4Gi"},
            },
            "policyName": "experiment",
            "completion": "Marker",
            "stallTimeout": "10m",
            "ttlSecondsAfterFinished": 3600,
            "podCleanup": "KeepFailed",
        },
    }


def a_script_job() -> Json:
    """A SpotTrainingJob whose script writes its own checkpoints, with every field for that set."""
    job = a_full_job()
    job["spec"]["completion"] = "ExitCode"
    job["spec"]["checkpoint"]["source"] = {
        "directory": {
            "path": "/out",
            "format": "HuggingFace",
            "resumeArgs": ["--resume_from_checkpoint", "{path}"],
            "settle": "5s",
            "marker": "",
            "processes": 1,
        }
    }
    job["spec"]["template"]["spec"]["containers"][0]["command"] = ["python3", "train.py"]
    return job


def a_job_for(path: str) -> Json:
    """A good job in which the field at `path` can be changed alone."""
    if path.startswith("spec.checkpoint.source"):
        job = a_script_job()
        if path.endswith("marker"):
            job["spec"]["checkpoint"]["source"]["directory"]["format"] = "Plain"
        return job
    job = a_full_job()
    if ".volumeDevices[0]." in path:
        pod = job["spec"]["template"]["spec"]
        for container in (*pod["initContainers"], *pod["containers"]):
            container["volumeDevices"] = [{"name": "disk", "devicePath": "/dev/xvda"}]
    store = job["spec"]["checkpoint"]["store"]
    if path.startswith("spec.checkpoint.store.volume"):
        job["spec"]["checkpoint"]["store"] = {"volume": {"claimName": "ckpt", "path": "teams"}}
    elif path.endswith("caBundle.secretName"):
        store["s3"]["caBundle"] = {"secretName": "store-ca"}
    elif ".caBundle." in path:
        store["s3"]["caBundle"] = {"configMapName": "store-ca", "key": "ca.crt"}
    return job


def a_full_policy() -> Json:
    """A SpotPolicy with every field set."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.POLICY_KIND,
        "metadata": {"name": "experiment"},
        "spec": {
            "priorityClassNames": ["batch-low"],
            "default": False,
            "allowedNamespaces": ["research"],
            "interruptions": {"max": 200, "window": "24h"},
            "failures": {"max": 3, "refundAfterProgress": True},
            "maxAttemptsWithoutProgress": 6,
            "backoff": {"initial": "10s", "factor": 2, "max": "5m", "jitter": "Full"},
            "checkpoint": {"maxLostWork": "30m"},
            "unreachable": {"after": "40s"},
        },
    }
