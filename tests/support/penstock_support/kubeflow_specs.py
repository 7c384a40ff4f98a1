"""A compiled pipeline, as small as one can be that has parameters and a task after another."""

from __future__ import annotations

GREETING = """\
components:
  comp-first:
    executorLabel: exec-first
    inputDefinitions:
      parameters:
        n: {parameterType: NUMBER_INTEGER}
    outputDefinitions:
      parameters:
        out: {parameterType: STRING}
  comp-second:
    executorLabel: exec-second
    inputDefinitions:
      parameters:
        text: {parameterType: STRING}
deploymentSpec:
  executors:
    exec-first:
      container: {image: busybox, command: [echo], args: ["{{$.inputs.parameters['n']}}"]}
    exec-second:
      container: {image: busybox, command: [echo], args: ["{{$.inputs.parameters['text']}}"]}
pipelineInfo: {name: greeting}
root:
  dag:
    tasks:
      first:
        cachingOptions: {enableCache: true}
        componentRef: {name: comp-first}
        inputs:
          parameters:
            n: {componentInputParameter: n}
        taskInfo: {name: First}
      second:
        cachingOptions: {enableCache: true}
        componentRef: {name: comp-second}
        dependentTasks: [first]
        inputs:
          parameters:
            text:
              taskOutputParameter: {outputParameterKey: out, producerTask: first}
        taskInfo: {name: Second}
  inputDefinitions:
    parameters:
      n: {parameterType: NUMBER_INTEGER}
      rate: {parameterType: NUMBER_DOUBLE, defaultValue: 0.5}
      loud: {parameterType: BOOLEAN, defaultValue: false}
      name: {parameterType: STRING, defaultValue: you}
schemaVersion: 2.1.0
sdkVersion: kfp-2.13.0
"""

PLATFORM = """\
---
platforms:
  kubernetes:
    deploymentSpec:
      executors:
        exec-first:
          nodeSelector: {labels: {pool: fast}}
"""
